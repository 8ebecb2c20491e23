package exec

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/attach"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// killLimit bounds the end of a probe that was killed.
const killLimit = 30 * time.Second

// Run executes a command in a running container and returns its exit code: a probe of a health check. out takes stdout
// and stderr; started is called when the process runs. The end of ctx kills it, and Run returns when it has ended.
func (s *Service) Run(ctx context.Context, containerID string, cmd []string, out io.Writer, started func()) (int, error) {
	rec, err := s.containers.Record(containerID)
	if err != nil {
		return 0, err
	}
	if err := active(rec, containerID); err != nil {
		return 0, err
	}
	e := s.prepare(rec, container.ExecCreateRequest{AttachStdout: true, AttachStderr: true, Cmd: cmd})
	e.probe = true
	if err := s.add(e); err != nil {
		return 0, err
	}
	s.tell(e, events.ActionExecCreate)
	w := &attach.Writer{W: out, Stdout: true, Stderr: true}
	agent, err := s.run(ctx, e, rec, launch{sink: w.Frame})
	if err != nil {
		s.forget(e)
		return 0, err
	}
	defer e.gate.shut()
	started()
	select {
	case <-e.done:
		if s.ctx.Err() != nil {
			return 0, context.Cause(s.ctx)
		}
		return e.code(), nil
	case <-ctx.Done():
		return 0, s.kill(ctx, e, agent)
	}
}

// kill ends a process and waits for its end.
func (s *Service) kill(ctx context.Context, e *Exec, agent Agent) error {
	cause := context.Cause(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killLimit)
	defer cancel()
	_, err := agent.Signal(ctx, &guestv1.SignalRequest{
		ContainerId: e.container, ExecId: e.id, Signal: uint32(syscall.SIGKILL),
	})
	if err != nil {
		s.log.Warn("kill probe", "container", e.container, "exec", e.id, "error", err)
	}
	select {
	case <-e.done:
		return cause
	case <-ctx.Done():
		return fmt.Errorf("probe does not end: %w", cause)
	}
}
