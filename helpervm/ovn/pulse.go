package ovn

import (
	"context"
	"fmt"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/arca-engine/arca/helpervm/daemon"
)

const (
	// beatInterval is how often the daemons are asked for a sign of life.
	beatInterval = 5 * time.Second
	// AnswerLimit is how long a daemon may take for its answer until it is said to hang.
	AnswerLimit = 15 * time.Second
)

// pulse is when the daemons were asked last. Each beat raises a number in a database that a daemon, when it has done all
// that came before, copies to another column.
type pulse struct {
	askedVSwitch, askedNorth time.Time
}

// beatNorth asks ovn-northd (sb_cfg) and ovn-controller (hv_cfg), unless the last question is still open.
func (p *Plane) beatNorth(ctx context.Context) error {
	p.mu.Lock()
	s := p.mu.north
	p.mu.Unlock()
	g, err := global(ctx, s)
	if err != nil || g == nil {
		return err
	}
	if g.HvCfg < g.NbCfg || g.SbCfg < g.NbCfg {
		return nil
	}
	b := &batch{client: s.client}
	b.mutate(g, model.Mutation{Field: &g.NbCfg, Mutator: ovsdb.MutateOperationAdd, Value: 1})
	if b.err != nil {
		return b.err
	}
	p.mu.Lock()
	p.mu.pulse.askedNorth = time.Now()
	p.mu.Unlock()
	_, err = s.transact(ctx, b.ops)
	return err
}

// beatVSwitch asks ovs-vswitchd (cur_cfg).
func (p *Plane) beatVSwitch(ctx context.Context) error {
	p.mu.Lock()
	s := p.mu.south
	p.mu.Unlock()
	var list []openVSwitch
	if err := s.client.List(ctx, &list); err != nil || len(list) == 0 {
		return err
	}
	if list[0].CurCfg < list[0].NextCfg {
		return nil
	}
	b := &batch{client: s.client}
	b.mutate(&list[0], model.Mutation{Field: &list[0].NextCfg, Mutator: ovsdb.MutateOperationAdd, Value: 1})
	if b.err != nil {
		return b.err
	}
	p.mu.Lock()
	p.mu.pulse.askedVSwitch = time.Now()
	p.mu.Unlock()
	_, err := s.transact(ctx, b.ops)
	return err
}

// Problem says what keeps a daemon from being ready, and since when it owes an answer; empty: it is ready.
func (p *Plane) Problem(ctx context.Context, name string) (problem string, since time.Time) {
	p.mu.Lock()
	north, south, asked := p.mu.north, p.mu.south, p.mu.pulse
	p.mu.Unlock()
	switch name {
	case daemon.OVSDB:
		if north == nil || south == nil {
			return "there is no connection to it", time.Time{}
		}
	case daemon.VSwitch:
		return vswitchProblem(ctx, south, asked.askedVSwitch)
	case daemon.Northd, daemon.Controller:
		if north == nil {
			return "its database cannot be reached", time.Time{}
		}
		g, err := global(ctx, north)
		if err != nil || g == nil {
			return "it has not started to work", time.Time{}
		}
		done := g.SbCfg
		if name == daemon.Controller {
			done = g.HvCfg
		}
		return owed(g.NbCfg, done, asked.askedNorth)
	}
	return "", time.Time{}
}

func vswitchProblem(ctx context.Context, s *session, asked time.Time) (string, time.Time) {
	if s == nil {
		return "its database cannot be reached", time.Time{}
	}
	var list []openVSwitch
	if err := s.client.List(ctx, &list); err != nil || len(list) == 0 {
		return "it has no configuration yet", time.Time{}
	}
	if problem, since := owed(list[0].NextCfg, list[0].CurCfg, asked); problem != "" {
		return problem, since
	}
	var interfaces []netInterface
	if err := s.client.List(ctx, &interfaces); err != nil {
		return "its interfaces cannot be read", time.Time{}
	}
	for _, i := range interfaces {
		if i.Error != nil && *i.Error != "" {
			return fmt.Sprintf("its interface %s does not work: %s", i.Name, *i.Error), time.Time{}
		}
	}
	return "", time.Time{}
}

// owed tells whether an answer is missing; for a moment that is no problem.
func owed(asked, done int, since time.Time) (string, time.Time) {
	const patience = 2 * time.Second
	if done >= asked {
		return "", time.Time{}
	}
	if waited := time.Since(since); done > 0 && waited < patience {
		return "", time.Time{}
	}
	return fmt.Sprintf("it has not answered since %s", since.Format(time.TimeOnly)), since
}
