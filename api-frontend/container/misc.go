package container

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// RecordOf finds a container's record by ID, name or prefix.
func (e *Engine) RecordOf(ref string) (*record.Container, error) {
	c, err := e.Get(ref)
	if err != nil {
		return nil, err
	}
	return c.Record(), nil
}

// RunningAgent returns the agent of the sandbox in which the container runs now.
func (e *Engine) RunningAgent(id string) (*sandbox.Agent, error) {
	c, err := e.Get(id)
	if err != nil {
		return nil, err
	}
	r := c.currentRun()
	if r == nil || r.box.Err() != nil || !c.Record().State.IsRunning() {
		return nil, notRunning(c.id)
	}
	return r.box.Agent(), nil
}

// Process is the process of an exec in a container, with all rights when privileged.
func (e *Engine) Process(rec *record.Container, privileged bool) (*specs.Process, error) {
	w, err := e.specWorld(rec)
	if err != nil {
		return nil, err
	}
	return oci.ExecProcess(rec, &container.ExecCreateRequest{Privileged: privileged}, w)
}

// SetHealth replaces the verdict of a container's health check; a durable one outlives the engine.
func (e *Engine) SetHealth(id string, h *container.Health, durable bool) error {
	c, err := e.Get(id)
	if err != nil {
		return err
	}
	if durable {
		_, err := e.change(c, func(n *record.Container) error {
			n.State.Health = h
			return nil
		})
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	next := c.rec.Load().Clone()
	next.State.Health = h
	c.rec.Store(next)
	return nil
}

// ImageUsers lists the containers as far as their images are concerned.
func (e *Engine) ImageUsers() []image.User {
	records := e.Records()
	users := make([]image.User, len(records))
	for i, r := range records {
		users[i] = image.User{ID: r.ID, ImageID: r.ImageID, ImageRef: r.Config.Image, Disks: r.Layers, Running: r.State.IsActive()}
	}
	return users
}

// CountContainers counts containers by state.
func (e *Engine) CountContainers() (running, paused, stopped int) {
	for _, r := range e.Records() {
		switch r.State.Status {
		case record.Running, record.Restarting:
			running++
		case record.Paused:
			paused++
		default:
			stopped++
		}
	}
	return running, paused, stopped
}

// ContainerUsage renders all containers with their sizes, as the list does.
func (e *Engine) ContainerUsage(ctx context.Context) (any, error) {
	return e.List(ctx, ListOptions{All: true, Size: true, Annotations: true})
}

// Resize sets the size of a running container's terminal.
func (e *Engine) Resize(ctx context.Context, ref string, height, width uint32) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return err
	}
	if _, err := agent.Resize(ctx, &guestv1.ResizeRequest{ContainerId: c.id, Rows: height, Columns: width}); err != nil {
		return sandbox.Native(err)
	}
	e.publish(events.ActionResize, c.Record(), map[string]string{"height": fmt.Sprint(height), "width": fmt.Sprint(width)})
	return nil
}

// Changes compares a container's files with its image.
func (e *Engine) Changes(ctx context.Context, ref string) ([]container.FilesystemChange, error) {
	c, err := e.Get(ref)
	if err != nil {
		return nil, err
	}
	box, release, err := e.maintain(ctx, c)
	if err != nil {
		return nil, err
	}
	defer release()
	resp, err := box.Agent().Changes(ctx, &guestv1.ChangesRequest{ContainerId: c.id})
	if err != nil {
		return nil, sandbox.Native(err)
	}
	changes := make([]container.FilesystemChange, len(resp.Changes))
	for i, ch := range resp.Changes {
		changes[i] = container.FilesystemChange{Kind: container.ChangeType(ch.Kind), Path: ch.Path}
	}
	return changes, nil
}
