package container

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Pause freezes a running container.
func (e *Engine) Pause(ctx context.Context, ref string) error {
	return e.freeze(ctx, ref, true)
}

// Unpause ends a pause.
func (e *Engine) Unpause(ctx context.Context, ref string) error {
	return e.freeze(ctx, ref, false)
}

func (e *Engine) freeze(ctx context.Context, ref string, pause bool) error {
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
	st := c.Record().State.Status
	r := c.currentRun()
	switch {
	case pause && st == record.Paused:
		return conflict("container %s is already paused", c.id)
	case pause && st == record.Restarting:
		return conflict("container %s is restarting, wait until the container is running", c.id)
	case !pause && st != record.Paused:
		return conflict("Container %s is not paused", c.id)
	case st != record.Running && st != record.Paused, r == nil:
		return notRunning(c.id)
	}
	action := events.ActionPause
	if pause {
		_, err = r.box.Agent().Pause(ctx, &guestv1.PauseRequest{ContainerId: c.id})
	} else {
		action = events.ActionUnPause
		_, err = r.box.Agent().Resume(ctx, &guestv1.ResumeRequest{ContainerId: c.id})
	}
	if err := sandbox.Native(err); err != nil {
		if r.over(ctx, err) {
			return notRunning(c.id)
		}
		if pause {
			r.unfreeze(ctx)
		}
		verb := "pause"
		if !pause {
			verb = "unpause"
		}
		return fmt.Errorf("cannot %s container %s: %w", verb, c.id, err)
	}
	if pause {
		e.health.Stop(c.id)
	}
	rec, err := e.change(c, func(n *record.Container) error {
		if pause {
			return n.State.Pause()
		}
		return n.State.Unpause()
	})
	if errdefs.IsFailedPrecondition(err) {
		return notRunning(c.id) // It ended meanwhile.
	}
	if err != nil {
		if pause {
			r.unfreeze(ctx)
		}
		return err
	}
	if !pause {
		e.health.Start(c.id)
	}
	e.publish(action, rec, nil)
	return nil
}

// unfreeze undoes a pause that failed half-way: a frozen process that nobody knows of would take no signal.
func (r *run) unfreeze(ctx context.Context) {
	_, err := r.box.Agent().Resume(ctx, &guestv1.ResumeRequest{ContainerId: r.c.id})
	if err := sandbox.Native(err); err != nil && !r.over(ctx, err) {
		r.e.log.Error("undo a pause that failed", "container", r.c.id, "error", err)
	}
	r.e.health.Start(r.c.id)
}
