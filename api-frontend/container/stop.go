package container

import (
	"context"
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

// defaultStopTimeout is Docker's time between the stop signal and SIGKILL, in seconds.
const defaultStopTimeout = 10

// killLimit bounds the wait for a process to die of SIGKILL, after which its sandbox is ended.
const killLimit = 10 * time.Second

// StopOptions are those of POST /containers/{id}/stop and restart.
type StopOptions struct {
	Signal  string // empty: the container's.
	Timeout *int   // seconds; nil: the container's; negative: for ever.
}

func notRunning(id string) error { return conflict("container %s is not running", id) }

// Stop asks a container to end, and kills it when it does not. errdefs.ErrNotModified when it does not run.
func (e *Engine) Stop(ctx context.Context, ref string, o StopOptions) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	if !c.Record().State.IsActive() {
		return &sentence{"container is already stopped", errdefs.ErrNotModified}
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	// The client's leaving does not cancel a stop.
	if err := e.stopLocked(context.WithoutCancel(ctx), c, o); err != nil {
		return fmt.Errorf("cannot stop container: %s: %w", ref, err)
	}
	return nil
}

// stopTimeout tells how long a container may take to end after its stop signal, in seconds; for ever when negative.
func stopTimeout(rec *record.Container) int {
	if rec.Config.StopTimeout != nil {
		return *rec.Config.StopTimeout
	}
	return defaultStopTimeout
}

func (e *Engine) stopLocked(ctx context.Context, c *Container, o StopOptions) error {
	rec := c.Record()
	if !rec.State.IsActive() {
		return nil
	}
	sig, err := stopSignal(rec, o.Signal)
	if err != nil {
		return err
	}
	timeout := stopTimeout(rec)
	if o.Timeout != nil {
		timeout = *o.Timeout
	}
	if err := e.signal(ctx, c, sig, true); err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
		return err
	}
	wait := ctx
	if timeout >= 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Second)
		defer cancel()
	}
	if c.settled(wait) != nil {
		if err := e.killLocked(ctx, c); err != nil && !errdefs.IsConflict(err) {
			return err
		}
	}
	e.publish(events.ActionStop, c.Record(), nil)
	return nil
}

func stopSignal(rec *record.Container, asked string) (syscall.Signal, error) {
	name := asked
	if name == "" {
		name = rec.Config.StopSignal
	}
	if name == "" {
		return syscall.SIGTERM, nil
	}
	sig, err := signal.ParseSignal(name)
	if err != nil {
		return 0, invalid("%v", err)
	}
	return sig, nil
}

// Kill sends a signal; SIGKILL, or none named, ends the container before Kill returns.
func (e *Engine) Kill(ctx context.Context, ref, name string) error {
	wrap := func(err error) error { return fmt.Errorf("cannot kill container: %s: %w", ref, err) }
	sig := syscall.SIGKILL
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
	if sig != syscall.SIGKILL {
		if err := e.signal(ctx, c, sig, false); err != nil {
			return wrap(err)
		}
		return nil
	}
	if err := e.killLocked(context.WithoutCancel(ctx), c); err != nil {
		return wrap(err)
	}
	return nil
}

// killLocked ends a running container with SIGKILL and waits for its end. It needs no turn: a stop in progress holds it.
func (e *Engine) killLocked(ctx context.Context, c *Container) error {
	if !c.Record().State.IsActive() {
		return notRunning(c.id)
	}
	if err := e.signal(ctx, c, syscall.SIGKILL, true); err != nil && !errdefs.IsConflict(err) {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	if c.settled(wait) == nil {
		return nil
	}
	e.log.Warn("container survives SIGKILL, ending its sandbox", "container", c.id)
	if err := e.sandboxes.Stop(ctx, c.Record().SandboxID()); err != nil {
		return err
	}
	return c.settled(ctx)
}

// signal sends sig to the container's first process, with dockerd's consequences: the restart policy does not act on an
// exit that a client asked for, and a paused container is resumed by its stop signal.
func (e *Engine) signal(ctx context.Context, c *Container, sig syscall.Signal, ending bool) error {
	rec := c.Record()
	if !rec.State.IsActive() {
		return notRunning(c.id)
	}
	own, err := stopSignal(rec, "")
	if err != nil {
		return err
	}
	ends := ending || rec.Config.StopSignal == "" || sig == syscall.SIGKILL || sig == own
	if ends {
		c.mu.Lock()
		c.backoff.canceled = true
		c.mu.Unlock()
	}
	waiting := false
	rec, err = e.change(c, func(n *record.Container) error {
		n.State.HasBeenManuallyStopped = true
		waiting = n.State.Status == record.Restarting
		if waiting && ends {
			return n.State.Exit(n.State.ExitCode, n.State.OOMKilled, n.State.FinishedAt)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if waiting {
		c.exited(ExitStatus{Code: rec.State.ExitCode}, false)
		return nil
	}
	r := c.currentRun()
	if r == nil || r.box == nil {
		return notRunning(c.id)
	}
	agent := r.box.Agent()
	_, err = agent.Signal(ctx, &guestv1.SignalRequest{ContainerId: c.id, Signal: uint32(sig)})
	if err := sandbox.Native(err); err != nil {
		if r.box.Err() != nil || errdefs.IsNotFound(err) {
			return notRunning(c.id) // It ended before the signal came.
		}
		return err
	}
	e.publish(events.ActionKill, rec, map[string]string{"signal": strconv.Itoa(int(sig))})
	if ends && rec.State.Status == record.Paused {
		if _, err := agent.Resume(ctx, &guestv1.ResumeRequest{ContainerId: c.id}); err != nil && !errdefs.IsNotFound(sandbox.Native(err)) {
			return sandbox.Native(err)
		}
	}
	return nil
}

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
	ctx = context.WithoutCancel(ctx)
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
	st := c.Record().State.Status
	r := c.currentRun()
	switch {
	case pause && st == record.Paused:
		return conflict("container %s is already paused", c.id)
	case pause && st == record.Restarting:
		return conflict("container %s is restarting, wait until the container is running", c.id)
	case !pause && st != record.Paused:
		return conflict("Container %s is not paused", c.id)
	case st != record.Running && st != record.Paused, r == nil, r.box == nil:
		return notRunning(c.id)
	}
	action := events.ActionPause
	if pause {
		_, err = r.box.Agent().Pause(ctx, &guestv1.PauseRequest{ContainerId: c.id})
	} else {
		action = events.ActionUnPause
		_, err = r.box.Agent().Resume(ctx, &guestv1.ResumeRequest{ContainerId: c.id})
	}
	if err != nil {
		verb := "pause"
		if !pause {
			verb = "unpause"
		}
		return fmt.Errorf("cannot %s container %s: %w", verb, c.id, sandbox.Native(err))
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
	if err != nil {
		return err
	}
	if !pause {
		e.health.Start(c.id)
	}
	e.publish(action, rec, nil)
	return nil
}
