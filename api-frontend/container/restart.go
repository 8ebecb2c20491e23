package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
)

// Restart stops the container, if it runs, and starts it.
func (e *Engine) Restart(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	ctx, cancel := e.detached(ctx)
	defer cancel()
	c.mu.Lock()
	c.keep = true // An automatic removal must not come between.
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.keep = false
		c.mu.Unlock()
	}()
	if err := e.stopLocked(ctx, c, o); err != nil {
		return fmt.Errorf("cannot restart container: %s: %w", ref, err)
	}
	if err := e.startLocked(ctx, c, false); err != nil {
		return fmt.Errorf("cannot restart container: %s: %w", ref, err)
	}
	e.publish(events.ActionRestart, c.Record(), nil)
	return nil
}

// errTryAgain: the restart policy's start failed for want of vmhelper or of a sandbox, not of the container.
var errTryAgain = errors.New("the start is tried again")

// transient tells whether a start failed for a reason that passes: vmhelper is away, or the sandbox was killed.
func transient(err error) bool { return errdefs.IsUnavailable(err) || errors.Is(err, sandbox.ErrDead) }

// restartAfter starts the container again when the back-off is over, unless a client stops it meanwhile. While vmhelper
// is away it goes on trying: a policy does not end because a daemon was restarted.
func (e *Engine) restartAfter(ctx context.Context, c *Container, delay time.Duration) {
	for {
		err := e.restartOnce(ctx, c, delay)
		if !errors.Is(err, errTryAgain) || ctx.Err() != nil {
			return
		}
		e.log.Warn("restart by policy is tried again", "container", c.id, "error", err)
		delay = min(max(2*delay, backoffFirst), backoffMax)
	}
}

func (e *Engine) restartOnce(ctx context.Context, c *Container, delay time.Duration) error {
	t := time.NewTimer(delay)
	defer t.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.Record().State.Status != record.Restarting {
			return nil
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		break
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	if c.Record().State.Status != record.Restarting {
		return nil
	}
	err := e.startLocked(ctx, c, true)
	if err != nil && ctx.Err() == nil && !errors.Is(err, errOvertaken) && !errors.Is(err, errTryAgain) && !e.shutting.Load() {
		e.log.Error("restart by policy", "container", c.id, "error", err)
	}
	return err
}

// startByPolicy starts a container that should run when the engine starts, and goes on trying while vmhelper is away.
func (e *Engine) startByPolicy(ctx context.Context, c *Container) {
	for delay := backoffFirst; ; delay = min(2*delay, backoffMax) {
		err := e.Start(ctx, c.id)
		if err == nil || errdefs.IsNotModified(err) || ctx.Err() != nil {
			return
		}
		e.log.Error("start by restart policy", "container", c.id, "error", err)
		if !transient(err) {
			return
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		if s := c.Record().State; s.HasBeenManuallyStopped || s.Status != record.Exited && s.Status != record.Created {
			return // A client has seen to it.
		}
	}
}
