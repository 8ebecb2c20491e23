package agent

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// shutdownTimeout bounds how long killed processes may take to end.
const shutdownTimeout = 5 * time.Second

// Shutdown implements the method of proto/guest/v1. The answer is sent before the agent ends.
func (a *Agent) Shutdown(ctx context.Context, _ *guestv1.ShutdownRequest) (*guestv1.ShutdownResponse, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := a.stopAll(ctx)
	unix.Sync()
	a.tasks.Go(func() {
		t := time.NewTimer(20 * time.Millisecond) // For the answer to leave; the caller may do without it.
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.ctx.Done():
		}
		a.stop(nil)
	})
	return &guestv1.ShutdownResponse{}, err
}

func (a *Agent) stopAll(ctx context.Context) error {
	a.mu.Lock()
	var all []*container
	for _, c := range a.containers {
		for _, p := range c.processes {
			if p.running() {
				_ = p.signal(unix.SIGKILL) // It may have ended by itself.
			}
		}
		all = append(all, c)
	}
	a.mu.Unlock()
	var errs []error
	for _, c := range all {
		select {
		case <-c.gone:
		case <-ctx.Done():
			errs = append(errs, context.Cause(ctx))
		}
	}
	for _, id := range a.roots.List() {
		a.sockets.Close(id)
		errs = append(errs, a.roots.Unmount(id))
	}
	return errors.Join(errs...)
}
