package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
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

// restartAfter starts the container again when the back-off is over, unless a client stops it meanwhile.
func (e *Engine) restartAfter(ctx context.Context, c *Container, delay time.Duration) {
	t := time.NewTimer(delay)
	defer t.Stop()
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.Record().State.Status != record.Restarting {
			return
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
			return
		case <-t.C:
		}
		break
	}
	if err := c.lock(ctx); err != nil {
		return
	}
	defer c.unlock()
	if c.Record().State.Status != record.Restarting {
		return
	}
	if err := e.startLocked(ctx, c, true); err != nil && ctx.Err() == nil && !errors.Is(err, errOvertaken) && !e.shutting.Load() {
		e.log.Error("restart by policy", "container", c.id, "error", err)
	}
}
