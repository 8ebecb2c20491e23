package container

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/store"
)

// RemoveOptions are those of DELETE /containers/{id}.
type RemoveOptions struct {
	Force   bool
	Volumes bool // anonymous volumes go with the container.
	Link    bool
}

// Remove removes a container.
func (e *Engine) Remove(ctx context.Context, ref string, o RemoveOptions) error {
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if o.Link {
		return e.unlink(ctx, ref)
	}
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	return e.remove(ctx, c, o)
}

func (e *Engine) remove(ctx context.Context, c *Container, o RemoveOptions) error {
	wrap := func(err error) error {
		return fmt.Errorf("cannot remove container %q: %w", "/"+c.Record().Name, err)
	}
	c.mu.Lock()
	switch {
	case c.removed:
		c.mu.Unlock()
		return notFound(c.id)
	case c.removing:
		c.mu.Unlock()
		return conflict("removal of container %s is already in progress", c.id)
	}
	c.removing = true
	c.mu.Unlock()
	defer func() { // A panic ends the removal, too.
		c.mu.Lock()
		c.removing = false
		c.mu.Unlock()
	}()
	return e.removeAlone(ctx, c, o, wrap)
}

// removeAlone is the one removal of c that is under way.
func (e *Engine) removeAlone(ctx context.Context, c *Container, o RemoveOptions, wrap func(error) error) error {
	// First without the turn: a stop that waits for its timeout has it.
	if err := e.mayRemove(ctx, c, o); err != nil {
		return wrap(err)
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	// Once more: a start may have had the turn.
	if err := e.mayRemove(ctx, c, o); err != nil {
		return wrap(err)
	}
	// The exit may be known while its sandbox is still being released.
	if err := c.vacant(ctx); err != nil {
		return err
	}
	// Crash-safe: from here on the record says "removing", and the next start of the engine goes on.
	rec, err := e.change(c, func(n *record.Container) error {
		if n.State.Status == record.Removing {
			return nil
		}
		return n.State.Remove()
	})
	if err != nil {
		return wrap(err)
	}
	if err := e.erase(ctx, c, rec, o); err != nil {
		if _, cerr := e.change(c, func(n *record.Container) error { return n.State.RemoveFailed(err.Error()) }); cerr != nil {
			e.log.Error("note a failed removal", "container", c.id, "error", cerr)
		}
		return wrap(err)
	}
	return nil
}

// mayRemove refuses to remove a container that runs, or ends it where that is forced.
func (e *Engine) mayRemove(ctx context.Context, c *Container, o RemoveOptions) error {
	st := c.Record().State
	switch {
	case !st.IsActive():
		return nil
	case o.Force:
		if err := e.killLocked(ctx, c); err != nil && !errdefs.IsConflict(err) {
			return fmt.Errorf("cannot kill container: %w", err)
		}
		return nil
	case st.Status == record.Paused:
		return conflict("container is paused and must be unpaused first")
	}
	return conflict("container is %s: stop the container before removing or force remove", st.Status)
}

// erase deletes what belongs to a container, and its record last. Every step may be repeated.
func (e *Engine) erase(ctx context.Context, c *Container, rec *record.Container, o RemoveOptions) error {
	// A sandbox that is up for maintenance holds the upper; one that others joined was left at the exit.
	if err := e.sandboxes.StopIdle(ctx, rec.ID); err != nil {
		return err
	}
	if err := e.removeUpper(ctx, c, rec); err != nil {
		return err
	}
	c.mu.Lock()
	log := c.log
	c.log = nil
	c.mu.Unlock()
	if log != nil {
		if err := log.Close(); err != nil {
			e.log.Error("close log", "container", rec.ID, "error", err)
		}
	}
	if err := os.RemoveAll(e.dir(rec.ID)); err != nil {
		return fmt.Errorf("remove directory of container: %w", err)
	}
	if err := e.forget(c, rec); err != nil {
		return err
	}
	e.mu.Lock()
	e.dropLocked(c)
	e.mu.Unlock()
	if err := e.networks.Forget(ctx, rec.ID); err != nil {
		e.log.Error("forget a container's networks", "container", rec.ID, "error", err)
	}
	e.health.Stop(rec.ID)
	e.execs.ContainerRemoved(rec.ID)
	if o.Volumes { // Before anybody learns that the container is gone.
		e.removeAnonymous(ctx, rec)
	}
	e.publish(events.ActionDestroy, rec, nil)
	c.gone(ExitStatus{Code: rec.State.ExitCode})
	if e.images.ID(ctx, rec.ImageID) == "" {
		// Its image went before it.
		if err := e.images.Collect(rec.Layers); err != nil {
			e.log.Error("remove layers of a container without image", "container", rec.ID, "error", err)
		}
	}
	return nil
}

// forget deletes the record. Nobody writes it again: a change that is under way would bring it back.
func (e *Engine) forget(c *Container, rec *record.Container) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	err := e.store.Update(func(tx *store.Tx) error {
		if err := e.volumes.Release(tx, rec.ID, volumeNames(rec)...); err != nil {
			return err
		}
		return bucket.Delete(tx, rec.ID)
	})
	if err != nil {
		return fmt.Errorf("forget container: %w", err)
	}
	c.erased = true
	return nil
}

// removeUpper deletes the writable layer. What still has it goes first: a shared sandbox that the container could not be
// taken out of at its end, or one left over from a stop that failed and of which no box is known.
func (e *Engine) removeUpper(ctx context.Context, c *Container, rec *record.Container) error {
	err := e.sandboxes.Client().RemoveUpper(ctx, rec.ID)
	if !errdefs.IsFailedPrecondition(err) {
		return err
	}
	if box := e.sandboxes.Box(rec.SandboxID()); box != nil {
		r := newRun(e, c)
		r.box = box
		err = e.sandboxes.Release(ctx, box, rec.ID, r.leave)
	} else {
		err = e.sandboxes.StopUnknown(ctx, rec.ID)
	}
	if err != nil {
		return err
	}
	return e.sandboxes.Client().RemoveUpper(ctx, rec.ID)
}

// removeAnonymous removes the volumes that came with the container and that nobody else uses.
func (e *Engine) removeAnonymous(ctx context.Context, rec *record.Container) {
	var names []string
	for _, m := range rec.Mounts {
		if m.Type == mount.TypeVolume && m.Anonymous {
			names = append(names, m.Name)
		}
	}
	if err := e.volumes.RemoveUnused(ctx, names...); err != nil {
		e.log.Error("remove anonymous volumes", "container", rec.ID, "error", err)
	}
}
