package reaper

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/go-runc"
	"golang.org/x/sys/unix"
)

// Exit is the end of one process.
type Exit struct {
	PID    int
	Code   int // 0-255; 128+n for a signal.
	Signal syscall.Signal
	Time   time.Time
}

// Reaper waits for all children.
type Reaper struct {
	mu        sync.Mutex
	claims    map[int]chan Exit
	holds     int
	unclaimed map[int]Exit
}

var _ runc.ProcessMonitor = (*Reaper)(nil)

// New makes this process the reaper of its descendants. Run must be called once.
func New() (*Reaper, error) {
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("become subreaper: %w", err)
		}
	}
	return &Reaper{claims: map[int]chan Exit{}, unclaimed: map[int]Exit{}}, nil
}

// Run collects exits until ctx ends.
func (r *Reaper) Run(ctx context.Context) {
	c := make(chan os.Signal, 32)
	signal.Notify(c, unix.SIGCHLD)
	defer signal.Stop(c)
	for {
		r.collect()
		select {
		case <-c:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reaper) collect() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		e := Exit{PID: pid, Code: ws.ExitStatus(), Time: time.Now()}
		if ws.Signaled() {
			e.Signal, e.Code = ws.Signal(), 128+int(ws.Signal())
		}
		r.deliver(e)
	}
}

func (r *Reaper) deliver(e Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.claims[e.PID]; ok {
		delete(r.claims, e.PID)
		c <- e
	} else if r.holds > 0 {
		r.unclaimed[e.PID] = e
	}
}

// Hold keeps the exits of unclaimed children until release is called.
func (r *Reaper) Hold() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.holds--; r.holds == 0 {
			clear(r.unclaimed)
		}
	})
}

// Claim returns the channel that receives the exit of pid. The caller holds a Hold that it took before pid was made.
func (r *Reaper) Claim(pid int) <-chan Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan Exit, 1)
	e, ok := r.unclaimed[pid]
	delete(r.unclaimed, pid)
	if ok && unix.Kill(pid, 0) == unix.ESRCH { // Else the exit is of an earlier one with this number.
		c <- e
	} else {
		r.claims[pid] = c
	}
	return c
}

// Start starts cmd and claims it.
func (r *Reaper) Start(cmd *exec.Cmd) (chan runc.Exit, error) {
	defer r.Hold()()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c, out := r.Claim(cmd.Process.Pid), make(chan runc.Exit, 1)
	go func() { // Ends with the child.
		e := <-c
		out <- runc.Exit{Timestamp: e.Time, Pid: e.PID, Status: e.Code}
		close(out)
	}()
	return out, nil
}

// StartLocked is Start: the agent sets no parent-death signal.
func (r *Reaper) StartLocked(cmd *exec.Cmd) (chan runc.Exit, error) { return r.Start(cmd) }

// Wait waits for what Start started, and for the copying of its output.
func (r *Reaper) Wait(cmd *exec.Cmd, c chan runc.Exit) (int, error) {
	e := <-c
	_ = cmd.Wait() // The exit was taken here; this only ends the copying of output.
	return e.Status, nil
}
