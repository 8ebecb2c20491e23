package container

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/filter"
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

// Top lists the processes of a running container as ps(1) with these arguments would.
func (e *Engine) Top(ctx context.Context, ref, psArgs string) (container.TopResponse, error) {
	var answer container.TopResponse
	c, err := e.Get(ref)
	if err != nil {
		return answer, err
	}
	if c.Record().State.Status == record.Restarting {
		return answer, conflict("Container %s is restarting, wait until the container is running", c.id)
	}
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return answer, err
	}
	resp, err := agent.Processes(ctx, &guestv1.ProcessesRequest{ContainerId: c.id, PsArgs: strings.Fields(psArgs)})
	if err != nil {
		return answer, sandbox.Native(err)
	}
	answer.Titles = resp.Titles
	for _, row := range resp.Rows {
		answer.Processes = append(answer.Processes, row.Fields)
	}
	e.publish(events.ActionTop, c.Record(), nil)
	return answer, nil
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

// Stats measures a container once. Of one that does not run it gives name and ID alone.
func (e *Engine) Stats(ctx context.Context, ref string) (container.StatsResponse, bool, error) {
	c, err := e.Get(ref)
	if err != nil {
		return container.StatsResponse{}, false, err
	}
	rec := c.Record()
	none := container.StatsResponse{ID: rec.ID, Name: "/" + rec.Name}
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return none, false, nil
	}
	resp, err := agent.Stats(ctx, &guestv1.StatsRequest{ContainerId: c.id})
	switch {
	case err == nil:
	case errdefs.IsNotFound(sandbox.Native(err)) || !c.Record().State.IsRunning():
		return none, false, nil
	default:
		return none, false, sandbox.Native(err)
	}
	var s container.StatsResponse
	if err := json.Unmarshal(resp.Stats, &s); err != nil {
		return none, false, fmt.Errorf("decode the agent's measurements: %w", err)
	}
	s.ID, s.Name, s.Read = none.ID, none.Name, time.Unix(0, resp.ReadUnixNano).UTC()
	s.CPUStats.SystemUsage, s.CPUStats.OnlineCPUs = resp.SystemCpuNanoseconds, resp.OnlineCpus
	return s, true, nil
}

// Update changes limits and the restart policy, of a running container at once.
func (e *Engine) Update(ctx context.Context, ref string, req *container.UpdateConfig, version string) (container.UpdateResponse, error) {
	var answer container.UpdateResponse
	c, err := e.Get(ref)
	if err != nil {
		return answer, err
	}
	if err := c.lock(ctx); err != nil {
		return answer, err
	}
	defer c.unlock()
	env := e.environment(ctx)
	next, warnings, err := normal.Update(c.Record(), req, &env, version)
	if err != nil {
		return answer, err
	}
	answer.Warnings = append([]string{}, warnings...)
	if agent, err := e.RunningAgent(c.id); err == nil {
		w, err := e.specWorld(next)
		if err != nil {
			return answer, err
		}
		spec, err := oci.Spec(next, w)
		if err != nil {
			return answer, err
		}
		raw, err := json.Marshal(spec.Linux.Resources)
		if err != nil {
			return answer, fmt.Errorf("encode resources: %w", err)
		}
		if _, err := agent.Update(ctx, &guestv1.UpdateRequest{ContainerId: c.id, Resources: raw}); err != nil {
			return answer, fmt.Errorf("Cannot update container %s: %w", c.id, sandbox.Native(err)) //nolint:staticcheck // Docker's sentence.
		}
	}
	rec, err := e.change(c, func(n *record.Container) error {
		n.HostConfig = next.HostConfig
		return nil
	})
	if err != nil {
		return answer, err
	}
	e.publish(events.ActionUpdate, rec, nil)
	return answer, nil
}

// Prune removes the containers that do not run and that the filters (label, label!, until) let through.
func (e *Engine) Prune(ctx context.Context, f filter.Filter) (container.PruneReport, error) {
	report := container.PruneReport{ContainersDeleted: []string{}}
	match, err := pruneFilter(f)
	if err != nil {
		return report, err
	}
	for _, c := range e.All() {
		if ctx.Err() != nil {
			break // What was removed is told.
		}
		r := c.Record()
		if r.State.IsActive() || !match(r) {
			continue
		}
		size, err := e.sandboxes.Client().UsageUpper(ctx, r.ID)
		if err != nil {
			return report, err
		}
		if err := e.remove(context.WithoutCancel(ctx), c, RemoveOptions{}); err != nil {
			e.log.Warn("prune container", "container", r.ID, "error", err)
			continue
		}
		report.SpaceReclaimed += uint64(size)
		report.ContainersDeleted = append(report.ContainersDeleted, r.ID)
	}
	e.events.Publish(events.Message{Type: events.ContainerEventType, Action: events.ActionPrune, Actor: events.Actor{
		Attributes: map[string]string{"reclaimed": fmt.Sprint(report.SpaceReclaimed)},
	}})
	return report, nil
}
