package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// lostExit is dockerd's code for a container that ended while nobody watched and whose own code is not known.
const lostExit = 255

// adopters bounds how many sandboxes are taken up at the same time.
const adopters = 8

// Reconcile implements sandbox.Reconciler: it takes up the runs that live, stops sandboxes that nobody knows, and ends
// the runs whose sandbox is gone. It is called at the start and whenever vmhelper was away.
func (e *Engine) Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) error {
	running, err := e.fabric.Reconcile(ctx, running)
	if err != nil {
		return err
	}
	inside := map[string][]*Container{}
	for _, c := range e.All() {
		if r := c.Record(); r.State.IsRunning() && c.currentRun() == nil {
			inside[r.SandboxID()] = append(inside[r.SandboxID()], c)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(adopters)
	for _, sb := range running {
		if e.sandboxes.Box(sb.Id) == nil {
			g.Go(func() error { return e.reconcileOne(gctx, sb, inside[sb.Id]) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, cs := range inside {
		for _, c := range cs {
			if c.currentRun() != nil {
				continue
			}
			if err := e.lost(ctx, c); err != nil {
				return err
			}
		}
	}
	if !e.booted {
		if err := e.networks.Reconcile(ctx, e.running); err != nil {
			return fmt.Errorf("reconcile networks: %w", err)
		}
		e.booted = true
		e.resumeDuties(ctx)
	}
	return nil
}

// running tells whether a run of the container goes on.
func (e *Engine) running(id string) bool {
	c, err := e.Get(id)
	return err == nil && c.currentRun() != nil
}

// reconcileOne takes up what runs in a sandbox, or stops it. Its error is vmhelper's absence or the engine's end: then
// everything begins anew. What is wrong with one container alone ends that container, not the others' hope.
func (e *Engine) reconcileOne(ctx context.Context, sb *vmhelperv1.Sandbox, cs []*Container) error {
	runs := map[string]*run{}
	holders := map[string]sandbox.Handler{}
	for _, c := range cs {
		if c.Record().State.BootID == sb.BootId { // Else it is of an older boot: that run is over.
			r := newRun(e, c)
			runs[c.id], holders[c.id] = r, r
		}
	}
	if len(runs) == 0 {
		// Left over from a start that was never committed, or from maintenance.
		if err := e.sandboxes.StopUnknown(ctx, sb.Id); err != nil {
			return fmt.Errorf("stop leftover sandbox %s: %w", sb.Id, err)
		}
		return nil
	}
	box, hello, err := e.sandboxes.Adopt(ctx, sb.Id, holders)
	if errors.Is(err, sandbox.ErrDead) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("adopt sandbox %s: %w", sb.Id, err)
	}
	for id, r := range runs {
		r.box = box
		if err := e.adopt(ctx, r, hello); err != nil {
			e.log.Error("take up container", "container", id, "error", err)
			r.release(ctx, r.abandon)
		}
	}
	return nil
}

// adopt takes up one run in a sandbox that outlived the previous frontend.
func (e *Engine) adopt(ctx context.Context, r *run, hello *guestv1.HelloResponse) (err error) {
	id := r.c.id
	var state *guestv1.ProcessState
	var execs []string
	for _, p := range hello.Processes {
		switch {
		case p.ContainerId != id:
		case p.ExecId == "":
			state = p
		default:
			execs = append(execs, p.ExecId)
		}
	}
	if state == nil {
		return errors.New("its sandbox does not know its process")
	}
	if r.log, err = e.openLog(r.c); err != nil {
		return err
	}
	if err := r.log.StartRun(r.c.Record().State.Run); err != nil {
		return err
	}
	e.matchPause(ctx, r.c, state)
	r.sockets = e.boundSockets(ctx, r.c.Record())
	r.joined = networked(r.c.Record())
	r.membership = e.networks.Membership(id)
	close(r.begun)
	r.begin()
	e.execs.Adopt(id, execs...)
	e.health.Start(id)
	e.log.Info("took up container", "container", id, "running", state.Running)
	return nil
}

// matchPause corrects a record whose pause or unpause was cut between the agent and the commit.
func (e *Engine) matchPause(ctx context.Context, c *Container, p *guestv1.ProcessState) {
	paused := c.Record().State.Status == record.Paused
	if !p.Running || p.Paused == paused {
		return
	}
	_, err := e.changeSurely(ctx, c, func(n *record.Container) error {
		if p.Paused {
			return n.State.Pause()
		}
		return n.State.Unpause()
	})
	if err != nil {
		e.log.Error("correct the pause of a container", "container", c.id, "error", err)
	}
}

// lost ends a run that nobody saw end; the restart policy acts.
func (e *Engine) lost(ctx context.Context, c *Container) error {
	if log, err := e.openLog(c); err != nil {
		e.log.Error("end of a lost run", "container", c.id, "error", err)
	} else if err := log.EndRun(); err != nil {
		e.log.Error("close log", "container", c.id, "error", err)
	}
	end, err := e.commitExit(ctx, c, lostExit, false, time.Now())
	if err != nil {
		return err
	}
	e.told(c, end)
	if e.booted && networked(end.rec) { // Else the networks' own reconciliation does.
		if err := e.networks.Leave(ctx, c.id); err != nil {
			e.log.Error("leave networks", "container", c.id, "error", err)
		}
	}
	if e.booted { // Else resumeDuties does.
		e.goRun(func(ctx context.Context) { e.afterExit(ctx, c, end) })
	}
	return nil
}
