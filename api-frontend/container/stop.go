package container

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/sys/signal"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// defaultStopTimeout is Docker's time between the stop signal and SIGKILL, in seconds.
const defaultStopTimeout = 10

// StopOptions are those of POST /containers/{id}/stop and restart.
type StopOptions struct {
	Signal  string // empty: the container's.
	Timeout *int   // seconds; nil: the container's; negative: for ever.
}

// Stop asks a container to end, and kills it when it does not. errdefs.ErrNotModified when it does not run.
func (e *Engine) Stop(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	if !c.Record().State.IsActive() {
		return &sentence{"container is already stopped", errdefs.ErrNotModified}
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if err := e.stopLocked(ctx, c, o); err != nil {
		return fmt.Errorf("cannot stop container: %s: %w", ref, err)
	}
	return nil
}

// stopTimeout tells how long a container may take to end after its stop signal, in seconds; for ever when negative.
func stopTimeout(rec *record.Container) int {
	if rec.Config.StopTimeout != nil {
		return *rec.Config.StopTimeout
	}
	return defaultStopTimeout
}

func (e *Engine) stopLocked(ctx context.Context, c *Container, o StopOptions) error {
	rec := c.Record()
	if !rec.State.IsActive() {
		return nil
	}
	sig, err := stopSignal(rec, o.Signal)
	if err != nil {
		return err
	}
	timeout := stopTimeout(rec)
	if o.Timeout != nil {
		timeout = *o.Timeout
	}
	r, err := e.signal(ctx, c, sig, true)
	if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
		return err
	}
	wait := ctx
	if timeout >= 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Second)
		defer cancel()
	}
	if c.settled(wait, r) != nil {
		if err := e.killLocked(ctx, c); err != nil && !errdefs.IsConflict(err) {
			return err
		}
	}
	e.publish(events.ActionStop, c.Record(), nil)
	return nil
}

func stopSignal(rec *record.Container, asked string) (syscall.Signal, error) {
	name := asked
	if name == "" {
		name = rec.Config.StopSignal
	}
	if name == "" {
		return syscall.SIGTERM, nil
	}
	sig, err := signal.ParseSignal(name)
	if err != nil {
		return 0, invalid("%v", err)
	}
	return sig, nil
}
