package container

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/volume"
	"github.com/arca-engine/arca/internal/phase"
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
	case e.shutting.Load():
		return errShutdown
	case r.State.Status == record.Paused:
		return conflict("cannot start a paused container, try unpause instead")
	case r.State.IsActive() && !byPolicy:
		return &sentence{"container already running", errdefs.ErrNotModified}
	case r.State.Status == record.Removing || r.State.Status == record.Dead:
		return conflict("container is marked for removal and cannot be started")
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// The end of the previous run may still be under way: its sandbox goes first.
	if err := c.vacant(limited); err != nil {
		return err
	}
	if !byPolicy {
		c.mu.Lock()
		c.backoff = backoff{}
		c.mu.Unlock()
	}
	r := newRun(e, c)
	if err := e.launch(limited, c, r, byPolicy); err != nil {
		return e.startFailed(ctx, c, r, err)
	}
	return nil
}

// launch boots the sandbox, runs the process and commits that it runs.
func (e *Engine) launch(ctx context.Context, c *Container, r *run, byPolicy bool) (err error) {
	defer func() { // Else the container would be left half started, and who waits for its removal would wait for ever.
		if p := recover(); p != nil {
			e.log.Error("start panicked", "container", c.id, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("start of container %s failed within the engine: %w", c.id, errdefs.ErrInternal)
		}
	}()
	rec := c.Record()
	trace := phase.Begin()
	if r.log, err = e.openLog(c); err != nil {
		return err
	}
	if err := e.checkLinks(rec); err != nil {
		return err
	}
	if err := r.join(ctx, rec); err != nil {
		return err
	}
	trace.End("join")
	n, err := r.prepare(ctx, rec)
	if err != nil {
		return err
	}
	trace.End("sandbox")
	req, err := e.startRequest(rec, r, n)
	if err != nil {
		return err
	}
	if err := r.log.StartRun(rec.State.Run + 1); err != nil {
		return fmt.Errorf("begin log of container %s: %w", rec.ID, err)
	}
	trace.End("request")
	resp, err := r.box.Agent().Start(ctx, req)
	if err := sandbox.Native(err); err != nil {
		return r.cause(ctx, err)
	}
	trace.End("agent")
	for _, p := range resp.Phases {
		trace.Add("agent/"+p.Name, time.Duration(p.Nanoseconds))
	}
	r.begin()
	r.retell(ctx, req.Names)
	rec, err = e.change(c, func(n *record.Container) error {
		if byPolicy && n.State.Status != record.Restarting {
			return errOvertaken
		}
		if !byPolicy {
			n.State.RestartCount, n.State.HasBeenManuallyStopped = 0, false
		}
		n.State.BootID = r.box.BootID
		n.State.Health = e.health.Initial(n)
		return n.State.Started(int(resp.Pid), time.Unix(0, resp.StartedUnixNano))
	})
	if err != nil {
		return err
	}
	trace.End("commit")
	e.log.Debug("started", "container", rec.ID, "milliseconds", trace)
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
	e.tellParents(ctx, rec)
	e.health.Start(c.id)
	close(r.begun)
	return nil
}

// prepare boots the sandbox, and meanwhile lets the endpoints speak.
func (r *run) prepare(ctx context.Context, rec *record.Container) (*needs, error) {
	opened := make(chan error, 1)
	go func() { opened <- r.open(ctx) }()
	box, n, err := r.e.hold(ctx, rec, r)
	if box != nil {
		r.box = box
	}
	if n != nil {
		r.sockets = n.sockets
	}
	if oerr := <-opened; oerr != nil { // It tells more than what became of the sandbox.
		return nil, oerr
	}
	return n, err
}

// errOvertaken: a client stopped the container while the restart policy started it.
var errOvertaken = errors.New("the container was stopped meanwhile")

// startFailed undoes what launch did, notes the reason in the record and returns what the client is told.
func (e *Engine) startFailed(ctx context.Context, c *Container, r *run, cause error) error {
	if r.box != nil {
		// Nothing of a failed start may run on.
		r.release(ctx, r.abandon)
	}
	r.part(ctx)
	if r.stopPump != nil {
		r.stopPump(nil)
		<-r.quiet // Its output must not come into the next run.
	}
	if r.log != nil {
		if err := r.log.EndRun(); err != nil {
			e.log.Error("close log after a failed start", "container", c.id, "error", err)
		}
	}
	if errors.Is(cause, errOvertaken) {
		r.end()
		return cause
	}
	if transient(cause) && c.Record().State.Status == record.Restarting && !e.shutting.Load() {
		r.end()
		return fmt.Errorf("%w: %w", errTryAgain, cause)
	}
	code, told := startError(cause)
	wasActive := c.Record().State.IsActive()
	rec, err := e.noteFailure(ctx, c, code, told)
	r.end()
	if err != nil {
		e.log.Error("note a failed start", "container", c.id, "error", err)
		return told
	}
	if wasActive { // A restart that failed is an end. A first start that failed is none: its waits go on, as dockerd's do.
		c.exited(ExitStatus{Code: code, Error: told.Error()}, false)
	}
	if rec.HostConfig.AutoRemove {
		e.goRun(func(ctx context.Context) { e.autoRemove(ctx, c) })
	}
	return told
}

// noteFailure notes a failed start. A container that waited for its restart must not wait for ever.
func (e *Engine) noteFailure(ctx context.Context, c *Container, code int, told error) (*record.Container, error) {
	note := func(n *record.Container) error { return n.State.StartFailed(code, told.Error(), time.Now()) }
	if c.Record().State.Status == record.Restarting {
		return e.changeSurely(ctx, c, note)
	}
	return e.change(c, note)
}
