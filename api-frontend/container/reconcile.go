package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// lostExit is dockerd's code for a container that ended while nobody watched and whose own code is not known.
const lostExit = 255

// Reconcile implements sandbox.Reconciler: it takes up the runs that live, stops sandboxes that nobody knows, and ends
// the runs whose sandbox is gone. It is called at the start and whenever vmhelper was away.
func (e *Engine) Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) error {
	inside := map[string][]*Container{}
	for _, c := range e.All() {
		if r := c.Record(); r.State.IsRunning() && c.currentRun() == nil {
			inside[r.SandboxID()] = append(inside[r.SandboxID()], c)
		}
	}
	for _, sb := range running {
		if e.sandboxes.Box(sb.Id) != nil {
			continue
		}
		cs := inside[sb.Id]
		if len(cs) == 0 {
			// Left over from a start that was never committed, or from maintenance.
			if err := e.sandboxes.StopUnknown(ctx, sb.Id); err != nil {
				return fmt.Errorf("stop leftover sandbox %s: %w", sb.Id, err)
			}
			continue
		}
		if err := e.adopt(ctx, sb, cs); err != nil && !errors.Is(err, sandbox.ErrDead) {
			return fmt.Errorf("adopt sandbox %s: %w", sb.Id, err)
		}
	}
	for _, cs := range inside {
		for _, c := range cs {
			if c.Record().State.IsRunning() && c.currentRun() == nil {
				if err := e.lost(c); err != nil {
					return err
				}
			}
		}
	}
	if !e.booted {
		e.booted = true
		e.resumeDuties(ctx)
	}
	return nil
}

// adopt takes up the runs in a sandbox that outlived the previous frontend.
func (e *Engine) adopt(ctx context.Context, sb *vmhelperv1.Sandbox, cs []*Container) error {
	runs := make(map[string]*run, len(cs))
	holders := make(map[string]sandbox.Handler, len(cs))
	for _, c := range cs {
		if c.Record().State.BootID != sb.BootId {
			continue // An older boot: that run is over.
		}
		r := newRun(e, c)
		runs[c.id], holders[c.id] = r, r
	}
	if len(runs) == 0 {
		return e.sandboxes.StopUnknown(ctx, sb.Id)
	}
	box, hello, err := e.sandboxes.Adopt(ctx, &vmhelperv1.SandboxSpec{Id: sb.Id}, holders)
	if err != nil {
		return err
	}
	known := map[string]*guestv1.ProcessState{}
	execs := map[string][]string{}
	for _, p := range hello.Processes {
		if p.ExecId == "" {
			known[p.ContainerId] = p
		} else {
			execs[p.ContainerId] = append(execs[p.ContainerId], p.ExecId)
		}
	}
	for id, r := range runs {
		p, ok := known[id]
		if !ok {
			if err := e.sandboxes.Release(ctx, box, id); err != nil {
				return err
			}
			continue
		}
		log, err := e.openLog(r.c)
		if err != nil {
			return err
		}
		if err := log.StartRun(r.c.Record().State.Run); err != nil {
			return err
		}
		if err := e.matchPause(r.c, p); err != nil {
			return err
		}
		n, err := e.needs(ctx, r.c.Record())
		if err != nil {
			return err
		}
		r.sockets = n.sockets
		r.c.mu.Lock()
		r.c.run = r
		r.c.mu.Unlock()
		close(r.begun)
		r.begin(box, log)
		e.execs.Adopt(id, execs[id]...)
		e.health.Start(id)
		e.log.Info("took up container", "container", id, "running", p.Running)
	}
	return nil
}

// matchPause corrects a record whose pause or unpause was cut between the agent and the commit.
func (e *Engine) matchPause(c *Container, p *guestv1.ProcessState) error {
	paused := c.Record().State.Status == record.Paused
	if !p.Running || p.Paused == paused {
		return nil
	}
	_, err := e.change(c, func(n *record.Container) error {
		if p.Paused {
			return n.State.Pause()
		}
		return n.State.Unpause()
	})
	return err
}

// lost ends a run that nobody saw end; the restart policy acts.
func (e *Engine) lost(c *Container) error {
	log, err := e.openLog(c)
	if err != nil {
		return err
	}
	if err := log.EndRun(); err != nil {
		e.log.Error("close log", "container", c.id, "error", err)
	}
	now := time.Now()
	s := c.Record().State
	c.mu.Lock()
	restart, delay := c.backoff.next(c.Record().HostConfig.RestartPolicy, lostExit, s.RestartCount, s.HasBeenManuallyStopped, now.Sub(s.StartedAt))
	c.mu.Unlock()
	rec, err := e.change(c, func(n *record.Container) error {
		if restart {
			return n.State.ExitAndRestart(lostExit, false, now)
		}
		return n.State.Exit(lostExit, false, now)
	})
	if err != nil {
		return err
	}
	e.publish(events.ActionDie, rec, map[string]string{"exitCode": fmt.Sprint(lostExit)})
	c.exited(ExitStatus{Code: lostExit}, restart)
	if restart && e.booted {
		e.goRun(func(ctx context.Context) { e.restartAfter(ctx, c, delay) })
	}
	return nil
}

// resumeDuties takes up, once after the start, what the previous frontend had begun: removals, restarts, and the
// restart policies of containers that should run.
func (e *Engine) resumeDuties(ctx context.Context) {
	e.reapStores(ctx)
	for _, c := range e.All() {
		r := c.Record()
		p := r.HostConfig.RestartPolicy
		switch {
		case r.State.Status == record.Removing, r.HostConfig.AutoRemove && r.State.Status == record.Exited:
			e.goRun(func(ctx context.Context) {
				if err := e.remove(ctx, c, RemoveOptions{Force: true, Volumes: r.HostConfig.AutoRemove}); err != nil && !errdefs.IsNotFound(err) {
					e.log.Error("finish removal", "container", c.id, "error", err)
				}
			})
		case r.State.Status == record.Restarting:
			e.goRun(func(ctx context.Context) { e.restartAfter(ctx, c, backoffFirst) })
		case r.State.Status == record.Exited && (p.IsAlways() || !r.State.HasBeenManuallyStopped &&
			(p.IsUnlessStopped() || p.IsOnFailure() && r.State.ExitCode != 0 &&
				(p.MaximumRetryCount == 0 || r.State.RestartCount < p.MaximumRetryCount))):
			e.goRun(func(ctx context.Context) {
				if err := e.Start(ctx, c.id); err != nil && !errdefs.IsNotModified(err) {
					e.log.Error("start by restart policy", "container", c.id, "error", err)
				}
			})
		}
	}
}

// reapStores deletes the writable layers of containers that were removed while vmhelper was away.
func (e *Engine) reapStores(ctx context.Context) {
	uppers, _, err := e.sandboxes.Client().Stores(ctx)
	if err != nil {
		e.log.Error("list writable layers", "error", err)
		return
	}
	for _, id := range uppers {
		e.mu.RLock()
		_, known := e.byID[id]
		e.mu.RUnlock()
		if known {
			continue
		}
		if err := e.sandboxes.Client().RemoveUpper(ctx, id); err != nil {
			e.log.Error("remove leftover writable layer", "id", id, "error", err)
		}
	}
}
