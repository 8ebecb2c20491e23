package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/internal/phase"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// releaseLimit bounds what follows an exit: it must not hold the container for ever.
const releaseLimit = time.Minute

// supervise waits for the end of the run and does what follows it.
func (r *run) supervise(ctx context.Context) {
	for _, step := range []<-chan struct{}{r.ended, r.pumped, r.begun} {
		select {
		case <-step:
		case <-r.stopped:
			return // The start was given up.
		case <-ctx.Done():
			return // The frontend ends; the container runs on, or its exit waits in the agent.
		}
	}
	r.finish(ctx)
}

// ending is what an exit comes to.
type ending struct {
	rec     *record.Container
	restart bool
	delay   time.Duration // before the restart.
}

// finish commits the exit, tells everybody, releases the sandbox and lets the restart policy act.
func (r *run) finish(ctx context.Context) {
	e, c, x := r.e, r.c, r.exit
	trace := phase.Begin()
	e.health.Stop(c.id)
	r.mu.Lock()
	oom := r.oom || x.OomKilled
	r.mu.Unlock()
	end, err := e.commitExit(ctx, c, int(x.Code&0xff), oom, time.Unix(0, x.ExitedUnixNano))
	if err != nil {
		return // The engine ends. The agent keeps the exit and tells it again to the next one.
	}
	trace.End("commit")
	if err := r.log.EndRun(); err != nil {
		e.log.Error("close log", "container", c.id, "error", err)
	}
	e.told(c, end)
	trace.End("log")
	parted := make(chan struct{})
	go func() {
		defer close(parted)
		r.part(ctx)
	}()
	returned := r.loans.recall()
	c.poke()
	select {
	case <-returned: // As in dockerd, nothing else happens to the container before a copy of its files is over.
	case <-r.box.Done():
	case <-ctx.Done():
	}
	r.release(ctx, r.leave)
	<-parted
	trace.End("sandbox")
	e.log.Debug("ended", "container", c.id, "milliseconds", trace, "after", time.Since(time.Unix(0, x.ExitedUnixNano)))
	for _, name := range volumeNames(end.rec) {
		e.volumes.Unmounted(name, c.id)
	}
	c.mu.Lock()
	kept := c.keep
	c.mu.Unlock()
	r.end()
	if !kept {
		e.afterExit(ctx, c, end)
	}
}

// commitExit notes an exit, however long the store refuses it: a code that was lost could not be had again. Whether the
// restart policy acts is decided in the same moment, so that a stop comes either before or after.
func (e *Engine) commitExit(ctx context.Context, c *Container, code int, oom bool, at time.Time) (end ending, err error) {
	var b backoff
	end.rec, err = e.changeSurely(ctx, c, func(n *record.Container) error {
		c.mu.Lock()
		b = c.backoff
		c.mu.Unlock()
		s := &n.State
		end.restart, end.delay = b.next(n.HostConfig.RestartPolicy, code, s.RestartCount, s.HasBeenManuallyStopped, at.Sub(s.StartedAt))
		if end.restart {
			return s.ExitAndRestart(code, oom, at)
		}
		return s.Exit(code, oom, at)
	})
	if err == nil {
		c.mu.Lock()
		c.backoff.delay = b.delay
		c.mu.Unlock()
	}
	return end, err
}

// told tells everybody of an exit that is committed.
func (e *Engine) told(c *Container, end ending) {
	s := &end.rec.State
	e.publish(events.ActionDie, end.rec, map[string]string{
		"exitCode": strconv.Itoa(s.ExitCode), "execDuration": strconv.Itoa(int(s.FinishedAt.Sub(s.StartedAt).Seconds())),
	})
	c.exited(ExitStatus{Code: s.ExitCode}, end.restart)
	e.execs.ContainerEnded(c.id)
}

// afterExit lets the restart policy or the automatic removal act.
func (e *Engine) afterExit(ctx context.Context, c *Container, end ending) {
	switch {
	case end.restart:
		e.restartAfter(ctx, c, end.delay)
	case end.rec.HostConfig.AutoRemove:
		e.autoRemove(ctx, c)
	}
}

// autoRemove removes a container that was made with --rm, unless somebody else does or has started it again.
func (e *Engine) autoRemove(ctx context.Context, c *Container) {
	e.removeSurely(ctx, c, RemoveOptions{Volumes: true})
}

// removeSurely tries to remove a container until it is gone, was started again, or the engine ends: nobody else does
// it, and clients may wait for it.
func (e *Engine) removeSurely(ctx context.Context, c *Container, o RemoveOptions) {
	for delay := backoffFirst; ; delay = min(2*delay, backoffMax) {
		err := e.remove(ctx, c, o)
		if err == nil || errdefs.IsNotFound(err) || ctx.Err() != nil || c.Record().State.IsActive() {
			return
		}
		if !errdefs.IsConflict(err) { // A client is removing it.
			e.log.Error("remove container", "container", c.id, "error", err)
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// release lets go of the sandbox; leave takes the container out of it where others go on in it.
func (r *run) release(ctx context.Context, leave func(context.Context) (*vmhelperv1.RemoveDisksRequest, error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	err := r.e.sandboxes.Release(ctx, r.box, r.c.id, leave)
	if err != nil && !errors.Is(r.box.Err(), sandbox.ErrDead) { // Nothing is left of one that died meanwhile.
		r.e.log.Error("release sandbox", "container", r.c.id, "error", err)
	}
}

// leave acknowledges the exit, takes the container's root out of the sandbox, and tells what can be detached.
func (r *run) leave(ctx context.Context) (*vmhelperv1.RemoveDisksRequest, error) {
	agent := r.box.Agent()
	_, err := agent.Acknowledge(ctx, &guestv1.AcknowledgeRequest{ContainerId: r.c.id})
	if err := sandbox.Native(err); err != nil && !errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("acknowledge exit: %w", err)
	}
	_, err = agent.Unmount(ctx, &guestv1.UnmountRequest{ContainerId: r.c.id})
	if err := sandbox.Native(err); err != nil && !errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("unmount container in a shared sandbox: %w", err)
	}
	rec := r.c.Record()
	// Layers and volumes may be shared with the others; they go with the sandbox.
	req := &vmhelperv1.RemoveDisksRequest{SandboxId: r.box.ID, Uppers: []string{rec.ID}}
	for i, m := range rec.Mounts {
		if tag := oci.ShareTag(rec, i); m.Type == mount.TypeBind || m.Type == mount.TypeVolume {
			if _, err := r.box.Attachment(vmhelperv1.Attachment_SHARE, tag); err == nil {
				req.ShareTags = append(req.ShareTags, tag)
			}
		}
	}
	return req, nil
}

// abandon is leave for a start that was given up: what it may have started ends first.
func (r *run) abandon(ctx context.Context) (*vmhelperv1.RemoveDisksRequest, error) {
	_, err := r.box.Agent().Signal(ctx, &guestv1.SignalRequest{ContainerId: r.c.id, Signal: uint32(sigkill), All: true})
	switch err := sandbox.Native(err); {
	case err == nil:
		select {
		case <-r.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case !errdefs.IsNotFound(err):
		return nil, fmt.Errorf("end process of a start that failed: %w", err)
	}
	return r.leave(ctx)
}
