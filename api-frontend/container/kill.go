package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/sys/signal"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

const sigkill = syscall.SIGKILL

// killLimit bounds the wait for a process to die of SIGKILL, after which its sandbox is ended.
const killLimit = 10 * time.Second

func notRunning(id string) error { return conflict("container %s is not running", id) }

// Kill sends a signal; SIGKILL, or none named, ends the container before Kill returns.
func (e *Engine) Kill(ctx context.Context, ref, name string) error {
	wrap := func(err error) error { return fmt.Errorf("cannot kill container: %s: %w", ref, err) }
	sig := sigkill
	if name != "" {
		var err error
		if sig, err = signal.ParseSignal(name); err != nil {
			return wrap(invalid("%v", err))
		}
		if !signal.ValidSignalForPlatform(sig) {
			return wrap(invalid("the linux daemon does not support signal %d", sig))
		}
	}
	c, err := e.Get(ref)
	if err != nil {
		return wrap(err)
	}
	if sig != sigkill {
		if _, err := e.signal(ctx, c, sig, false); err != nil {
			return wrap(err)
		}
		return nil
	}
	ctx, cancel := e.detached(ctx)
	defer cancel()
	if err := e.killLocked(ctx, c); err != nil {
		return wrap(err)
	}
	return nil
}

// killLocked ends a running container with SIGKILL and waits for its end. It needs no turn: a stop in progress holds it.
func (e *Engine) killLocked(ctx context.Context, c *Container) error {
	if !c.Record().State.IsActive() {
		return notRunning(c.id)
	}
	r, err := e.signal(ctx, c, sigkill, true)
	if err != nil && !errdefs.IsConflict(err) {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	if c.settled(wait, r) == nil {
		return nil
	}
	e.log.Warn("container survives SIGKILL, ending its sandbox", "container", c.id)
	if err := e.sandboxes.Stop(ctx, c.Record().SandboxID()); err != nil {
		return err
	}
	return c.settled(ctx, r)
}

// signal sends sig to the container's first process, with dockerd's consequences: the restart policy does not act on an
// exit that a client asked for, and a paused container is resumed by its stop signal. It tells
// which run it was for, where there was one.
func (e *Engine) signal(ctx context.Context, c *Container, sig syscall.Signal, ending bool) (*run, error) {
	rec := c.Record()
	if !rec.State.IsActive() {
		return nil, notRunning(c.id)
	}
	own, err := stopSignal(rec, "")
	if err != nil {
		return nil, err
	}
	ends := ending || rec.Config.StopSignal == "" || sig == sigkill || sig == own
	if ends {
		c.mu.Lock()
		c.backoff.canceled = true
		c.mu.Unlock()
	}
	waiting := false
	rec, err = e.change(c, func(n *record.Container) error {
		if !e.shutting.Load() { // The engine's own stops leave restart policies their meaning.
			n.State.HasBeenManuallyStopped = true
		}
		waiting = n.State.Status == record.Restarting
		if waiting && ends {
			return n.State.Exit(n.State.ExitCode, n.State.OOMKilled, n.State.FinishedAt)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if waiting {
		c.exited(ExitStatus{Code: rec.State.ExitCode}, false)
		return nil, nil
	}
	r := c.currentRun()
	if r == nil {
		return nil, notRunning(c.id)
	}
	agent := r.box.Agent()
	_, err = agent.Signal(ctx, &guestv1.SignalRequest{ContainerId: c.id, Signal: uint32(sig)})
	if err := sandbox.Native(err); err != nil {
		if r.over(ctx, err) {
			return r, notRunning(c.id) // It ended before the signal came.
		}
		return r, err
	}
	e.publish(events.ActionKill, rec, map[string]string{"signal": strconv.Itoa(int(sig))})
	if ends && rec.State.Status == record.Paused {
		return r, e.thaw(ctx, r)
	}
	return r, nil
}

// thaw resumes a container so that it can take the signal that it was sent, unless that has ended it already.
func (e *Engine) thaw(ctx context.Context, r *run) error {
	_, err := r.box.Agent().Resume(ctx, &guestv1.ResumeRequest{ContainerId: r.c.id})
	if err := sandbox.Native(err); err != nil {
		if r.over(ctx, err) {
			return nil
		}
		return err
	}
	rec, err := e.change(r.c, func(n *record.Container) error { return n.State.Unpause() })
	switch {
	case err == nil:
		e.publish(events.ActionUnPause, rec, nil)
	case !errdefs.IsFailedPrecondition(err):
		return err
	}
	return nil
}

// deathLimit bounds the wait for the news that a sandbox whose connection broke has ended.
const deathLimit = 5 * time.Second

// over tells whether a call to the agent failed because the process has ended, though its exit may not be committed yet.
func (r *run) over(ctx context.Context, err error) bool {
	switch {
	case errdefs.IsNotFound(err), errors.Is(r.box.Err(), sandbox.ErrDead):
		return true
	case errdefs.IsUnavailable(err):
		ctx, cancel := context.WithTimeout(ctx, deathLimit)
		defer cancel()
		select {
		case <-r.ended:
		case <-ctx.Done():
		}
	}
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// cause is why a call to the agent failed: the end of its sandbox, where that was it.
func (r *run) cause(ctx context.Context, err error) error {
	over := r.over(ctx, err) // It may wait for the news.
	if dead := r.box.Err(); over && errors.Is(dead, sandbox.ErrDead) {
		return dead
	}
	return err
}
