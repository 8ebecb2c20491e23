package exec

import (
	"context"
	"errors"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// resizeLimit bounds how long a resize waits for its process to be started.
const resizeLimit = 10 * time.Second

// Inspect returns an exec as clients see it.
func (s *Service) Inspect(_ context.Context, id string) (container.ExecInspectResponse, error) {
	e := s.find(id)
	if e == nil {
		return container.ExecInspectResponse{}, notFound("exec instance", id)
	}
	if _, err := s.containers.Record(e.container); err != nil {
		return container.ExecInspectResponse{}, notFound("exec instance", id)
	}
	return e.inspect(), nil
}

// Resize changes the size of an exec's terminal.
func (s *Service) Resize(ctx context.Context, id string, height, width uint32) error {
	e, _, err := s.lookup(id)
	if err != nil {
		return err
	}
	t := time.NewTimer(resizeLimit)
	defer t.Stop()
	select {
	case <-e.started:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return errors.New("timeout waiting for exec session ready")
	}
	e.mu.Lock()
	pid := e.pid
	e.mu.Unlock()
	if pid == 0 {
		return invalid("exec process is not started")
	}
	agent, err := s.containers.Agent(e.container)
	if err != nil {
		return err
	}
	_, err = agent.Resize(context.WithoutCancel(ctx), &guestv1.ResizeRequest{
		ContainerId: e.container, ExecId: e.id, Rows: height, Columns: width,
	})
	return sandbox.Native(err)
}
