package container

import (
	"context"
	"fmt"
	"sync"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
)

// maintain mounts the root of a container, running or not, for one operation on its files.
func (e *Engine) maintain(ctx context.Context, c *Container) (box *sandbox.Box, release func(), err error) {
	running := func() *run {
		if r := c.currentRun(); r != nil && c.Record().State.IsRunning() && r.box.Err() == nil && r.loans.take() {
			return r
		}
		return nil
	}
	if r := running(); r != nil {
		return r.box, sync.OnceFunc(r.loans.giveBack), nil
	}
	// With the turn, so that neither a start nor a removal comes between the look at the record and the boot.
	if err := c.lock(ctx); err != nil {
		return nil, nil, err
	}
	defer c.unlock()
	if r := running(); r != nil {
		return r.box, sync.OnceFunc(r.loans.giveBack), nil
	}
	if err := c.vacant(ctx); err != nil {
		return nil, nil, err
	}
	rec := c.Record()
	if rec.State.Status == record.Removing || rec.State.Status == record.Dead {
		return nil, nil, conflict("container %s is being removed", c.id)
	}
	n, err := e.needs(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	// A joiner that does not run gets a sandbox of its own: the other may not run either.
	n.spec.Id = rec.ID
	box, release, err = e.sandboxes.Maintain(ctx, n.spec)
	if err != nil {
		return nil, nil, err
	}
	if err := e.mount(ctx, rec, box, n); err != nil {
		release()
		return nil, nil, fmt.Errorf("mount container %s: %w", c.id, err)
	}
	return box, release, nil
}

// mount lets the agent build the root of a container.
func (e *Engine) mount(ctx context.Context, rec *record.Container, box *sandbox.Box, n *needs) error {
	w, err := e.specWorld(rec)
	if err != nil {
		return err
	}
	in, err := e.startInput(rec, w, box, n)
	if err != nil {
		return err
	}
	req, err := oci.MountRequest(rec, in)
	if err != nil {
		return err
	}
	_, err = box.Agent().Mount(ctx, req)
	return sandbox.Native(err)
}
