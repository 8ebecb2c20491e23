package container

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/volume"
)

// startLimit bounds a start as a whole; the client's leaving does not end it.
const startLimit = 2 * time.Minute

// Start starts a created or exited container. errdefs.ErrNotModified when it runs.
func (e *Engine) Start(ctx context.Context, ref string) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	return e.startLocked(ctx, c, false)
}

func (e *Engine) startLocked(ctx context.Context, c *Container, byPolicy bool) error {
	switch r := c.Record(); {
	case r.State.Status == record.Paused:
		return conflict("cannot start a paused container, try unpause instead")
	case r.State.IsActive() && !byPolicy:
		return &sentence{"container already running", errdefs.ErrNotModified}
	case r.State.Status == record.Removing || r.State.Status == record.Dead:
		return conflict("container is marked for removal and cannot be started")
	}
	// The end of the previous run may still be under way: its sandbox goes first.
	if prev := c.currentRun(); prev != nil {
		select {
		case <-prev.stopped:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	if !byPolicy {
		c.mu.Lock()
		c.backoff = backoff{}
		c.mu.Unlock()
	}
	r := newRun(e, c)
	if err := e.launch(ctx, c, r, byPolicy); err != nil {
		return e.startFailed(ctx, c, r, err)
	}
	return nil
}

// launch boots the sandbox, runs the process and commits that it runs.
func (e *Engine) launch(ctx context.Context, c *Container, r *run, byPolicy bool) error {
	rec := c.Record()
	log, err := e.openLog(c)
	if err != nil {
		return err
	}
	box, n, err := e.hold(ctx, rec, r)
	if err != nil {
		return err
	}
	r.box, r.sockets = box, n.sockets
	req, err := e.startRequest(rec, box, n)
	if err != nil {
		return err
	}
	if err := log.StartRun(rec.State.Run + 1); err != nil {
		return fmt.Errorf("begin log of container %s: %w", rec.ID, err)
	}
	c.mu.Lock()
	c.run = r
	c.mu.Unlock()
	resp, err := box.Agent().Start(ctx, req)
	if err != nil {
		return sandbox.Native(err)
	}
	r.begin(box, log)
	rec, err = e.change(c, func(n *record.Container) error {
		if !byPolicy {
			n.State.RestartCount, n.State.HasBeenManuallyStopped = 0, false
		}
		n.State.BootID = box.BootID
		n.State.Health = e.health.Initial(n)
		return n.State.Started(int(resp.Pid), time.Unix(0, resp.StartedUnixNano))
	})
	if err != nil {
		return err
	}
	for _, w := range resp.Warnings {
		e.log.Warn("start", "container", rec.ID, "warning", w)
	}
	for _, m := range rec.Mounts {
		if m.Type == mount.TypeVolume {
			e.volumes.Mounted(volume.Use{
				Name: m.Name, ContainerID: rec.ID, Destination: m.Destination, ReadWrite: m.RW, Propagation: string(m.Propagation),
			})
		}
	}
	e.publish(events.ActionStart, rec, nil)
	e.health.Start(c.id)
	close(r.begun)
	return nil
}

// startFailed undoes what launch did, notes the reason in the record and returns what the client is told.
func (e *Engine) startFailed(ctx context.Context, c *Container, r *run, cause error) error {
	c.mu.Lock()
	log := c.log
	c.mu.Unlock()
	if r.box != nil {
		// Nothing of a failed start may run on.
		if err := e.sandboxes.Release(ctx, r.box, c.id); err != nil {
			e.log.Error("release sandbox after a failed start", "container", c.id, "error", err)
		}
	}
	if log != nil {
		if err := log.EndRun(); err != nil {
			e.log.Error("close log after a failed start", "container", c.id, "error", err)
		}
	}
	r.end()
	code, told := startError(cause)
	rec, err := e.change(c, func(n *record.Container) error { return n.State.StartFailed(code, told.Error(), time.Now()) })
	if err != nil {
		e.log.Error("note a failed start", "container", c.id, "error", err)
		rec = c.Record()
	}
	c.exited(ExitStatus{Code: code, Error: told.Error()}, false)
	if rec.HostConfig.AutoRemove {
		e.goRun(func(ctx context.Context) {
			if err := e.remove(ctx, c, RemoveOptions{Volumes: true}); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
				e.log.Error("remove container after a failed start", "container", c.id, "error", err)
			}
		})
	}
	return told
}

// startError gives dockerd's exit code and sentence for a start that failed: 127 for a command that is not there, 126
// for one that cannot be run, 128 for everything else.
func startError(err error) (int, error) {
	text := err.Error()
	oci := strings.HasPrefix(text, "runc ")
	if oci {
		// The words of containerd around those of runc.
		text = "failed to create task for container: failed to create shim task: OCI runtime create failed: " + text + ": unknown"
	}
	contains := func(ss ...string) bool {
		for _, s := range ss {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	switch {
	case contains("executable file not found", "no such file or directory", "system cannot find the file specified") && oci:
		return 127, &sentence{text, errdefs.ErrInvalidArgument}
	case contains("permission denied", "is a directory", "not a directory", "exec format error") && oci:
		return 126, &sentence{text, errdefs.ErrInvalidArgument}
	case oci && errdefs.IsInvalidArgument(err):
		return 128, &sentence{text, errdefs.ErrInvalidArgument}
	case errdefs.IsInvalidArgument(err), errdefs.IsNotFound(err), errdefs.IsConflict(err), errdefs.IsUnavailable(err):
		return 128, err
	}
	return 128, &sentence{text, errdefs.ErrUnknown}
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
	if err := e.startLocked(ctx, c, true); err != nil {
		e.log.Error("restart by policy", "container", c.id, "error", err)
	}
}
