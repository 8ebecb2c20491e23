package exec

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
)

// Exec is one process beside the first one of a container, wanted, running or ended.
type Exec struct {
	id         string
	container  string
	req        container.ExecCreateRequest // user and directory resolved.
	detachKeys []byte
	env        []string
	probe      bool // of a health check: forgotten at its end.

	gate    gate
	started chan struct{} // closed when the start was tried.
	exited  chan struct{} // closed when the exit code is known.
	done    chan struct{} // closed when the output was taken as well, and all was told.

	mu        sync.Mutex
	begun     bool
	running   bool
	canRemove bool
	pid       int
	exitCode  *int
	endedAt   time.Time
}

func newExec(containerID string) *Exec {
	return &Exec{
		id: newID(), container: containerID,
		started: make(chan struct{}), exited: make(chan struct{}), done: make(chan struct{}),
	}
}

func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // Never fails: crypto/rand.Read ends the program instead.
	return hex.EncodeToString(b[:])
}

// begin takes the only turn to run.
func (e *Exec) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.exitCode != nil:
		return conflict("exec command %s has already run", e.id)
	case e.begun:
		return conflict("exec command %s is already running", e.id)
	}
	e.begun, e.running = true, true
	return nil
}

// ran notes that the process runs. It may have exited already.
func (e *Exec) ran(pid int) {
	e.mu.Lock()
	e.pid = pid
	e.mu.Unlock()
	close(e.started)
}

// exit notes how the process ended; the first report counts.
func (e *Exec) exit(code int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.exitCode != nil {
		return false
	}
	e.exitCode, e.running, e.endedAt = &code, false, time.Now()
	close(e.exited)
	return true
}

// code is the exit code; only meaningful once exited is closed.
func (e *Exec) code() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.exitCode == nil {
		return codeUnknown
	}
	return *e.exitCode
}

// inspect is the exec as clients see it.
func (e *Exec) inspect() container.ExecInspectResponse {
	e.mu.Lock()
	defer e.mu.Unlock()
	privileged := e.req.Privileged
	r := container.ExecInspectResponse{
		ID:      e.id,
		Running: e.running,
		ProcessConfig: &container.ExecProcessConfig{
			Tty:        e.req.Tty,
			Entrypoint: e.req.Cmd[0],
			Arguments:  e.req.Cmd[1:],
			Privileged: &privileged,
			User:       e.req.User,
		},
		OpenStdin:   e.req.AttachStdin,
		OpenStderr:  e.req.AttachStderr,
		OpenStdout:  e.req.AttachStdout,
		CanRemove:   e.canRemove,
		ContainerID: e.container,
		DetachKeys:  e.detachKeys,
		Pid:         e.pid,
	}
	if e.exitCode != nil {
		code := *e.exitCode
		r.ExitCode = &code
	}
	return r
}
