package ovn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/helpervm/plan"
)

// sessionLimit is how long a change waits for the databases.
const sessionLimit = 2 * time.Second

// Plane is OVN's part of all networks.
type Plane struct {
	log      hclog.Logger
	endpoint string

	// turn is held by whoever changes a database: one at a time.
	turn chan struct{}
	nb   northbound // with turn.

	mu struct {
		sync.Mutex
		wanted map[plan.ID]switchRows
		trunk  string
		north  *session
		south  *session      // of Open_vSwitch.
		opened chan struct{} // closed and replaced when a session was opened.
		pulse  pulse
	}
	// Each has an element when something that shall be is not committed.
	staleNorth, staleVSwitch chan struct{}
	configured               chan struct{} // closed once OVS's database has our settings.
}

// New makes a plane that speaks to the databases at an endpoint once Run runs.
func New(log hclog.Logger, endpoint string) *Plane {
	p := &Plane{log: log, endpoint: endpoint, turn: make(chan struct{}, 1),
		staleNorth: make(chan struct{}, 1), staleVSwitch: make(chan struct{}, 1), configured: make(chan struct{})}
	p.mu.wanted, p.mu.opened = map[plan.ID]switchRows{}, make(chan struct{})
	return p
}

// Run keeps sessions with both databases and heals what differs, until ctx ends.
func (p *Plane) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.keep(ctx, "OVN", p.northSession) })
	wg.Go(func() { p.keep(ctx, "OVS", p.vswitchSession) })
	wg.Wait()
	return nil
}

// keep runs session after session.
func (p *Plane) keep(ctx context.Context, what string, run func(context.Context) error) {
	last := ""
	for ctx.Err() == nil {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != last { // A daemon that is not there yet is tried again often; once is enough to say.
			last = err.Error()
			p.log.Warn("a session with a database ended", "of", what, "error", err)
		}
		sleep(ctx, reconnect)
	}
}

// Replace makes the plane hold these networks and no other, behind a trunk.
func (p *Plane) Replace(ctx context.Context, trunk string, networks []plan.Network, endpoints map[plan.ID][]plan.Endpoint) error {
	wanted := make(map[plan.ID]switchRows, len(networks))
	for _, n := range networks {
		wanted[n.ID] = rowsOf(n, endpoints[n.ID])
	}
	p.mu.Lock()
	names := map[plan.ID]struct{}{}
	for id := range p.mu.wanted {
		names[id] = struct{}{}
	}
	for id := range wanted {
		names[id] = struct{}{}
	}
	p.mu.wanted = wanted
	p.mu.trunk = trunk
	p.mu.Unlock()
	p.await(ctx)
	return errors.Join(later("OVS", p.commitTrunk(ctx), p.staleVSwitch), p.apply(ctx, slices.Collect(maps.Keys(names))))
}

// Set makes or changes one network with all its endpoints.
func (p *Plane) Set(ctx context.Context, n plan.Network, endpoints []plan.Endpoint) error {
	rows := rowsOf(n, endpoints)
	p.mu.Lock()
	p.mu.wanted[n.ID] = rows
	p.mu.Unlock()
	return p.apply(ctx, []plan.ID{n.ID})
}

// Remove takes networks away.
func (p *Plane) Remove(ctx context.Context, ids []plan.ID) error {
	p.mu.Lock()
	for _, id := range ids {
		delete(p.mu.wanted, id)
	}
	p.mu.Unlock()
	return p.apply(ctx, ids)
}

// apply commits the named networks. What cannot be committed now is committed as soon as it can.
func (p *Plane) apply(ctx context.Context, names []plan.ID) error {
	p.await(ctx)
	return later("OVN", p.commit(ctx, names), p.staleNorth)
}

// await gives sessions a moment to be opened: daemons are starting, or one was restarted.
func (p *Plane) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sessionLimit)
	defer cancel()
	for {
		p.mu.Lock()
		ready, opened := p.mu.north != nil && p.mu.south != nil, p.mu.opened
		p.mu.Unlock()
		if ready {
			return
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return
		}
	}
}

// enter makes a session the one that is used.
func (p *Plane) enter(set func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set()
	close(p.mu.opened)
	p.mu.opened = make(chan struct{})
}

// later leaves what failed to the session, which tries again.
func later(what string, err error, stale chan struct{}) error {
	if err == nil {
		return nil
	}
	select {
	case stale <- struct{}{}:
	default:
	}
	return fmt.Errorf("%s takes it later: %w: %w", what, err, errdefs.ErrUnavailable)
}

func (p *Plane) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Plane) give() { <-p.turn }

func (p *Plane) commit(ctx context.Context, names []plan.ID) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	p.mu.Lock()
	s := p.mu.north
	wanted := maps.Clone(p.mu.wanted)
	p.mu.Unlock()
	if s == nil {
		return errors.New("there is no connection to OVN's database")
	}
	return p.nb.commit(ctx, s, wanted, names)
}

// commitAll commits whatever differs.
func (p *Plane) commitAll(ctx context.Context) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	p.mu.Lock()
	s := p.mu.north
	wanted := maps.Clone(p.mu.wanted)
	p.mu.Unlock()
	if s == nil {
		return errors.New("there is no connection to OVN's database")
	}
	names := slices.Collect(maps.Keys(wanted))
	for name := range p.nb.known {
		if _, ok := wanted[plan.ID(name)]; !ok {
			names = append(names, plan.ID(name))
		}
	}
	return p.nb.commit(ctx, s, wanted, names)
}

// northSession is one session with OVN_Northbound, from its connection to its loss.
func (p *Plane) northSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	db, err := northboundModel()
	if err != nil {
		return err
	}
	s, err := open(ctx, p.log, p.endpoint, db, northboundMonitor()...)
	if err != nil {
		return err
	}
	defer s.client.Close()
	if err := initialised(ctx, s); err != nil {
		return err
	}
	if err := p.take(ctx); err != nil {
		return err
	}
	err = p.nb.resume(ctx, s)
	p.enter(func() { p.mu.north = s })
	p.give()
	defer func() {
		p.mu.Lock()
		p.mu.north = nil
		p.mu.Unlock()
	}()
	if err != nil {
		return err
	}
	return p.serve(ctx, s, p.staleNorth, p.commitAll, p.beatNorth)
}

// vswitchSession is one session with Open_vSwitch.
func (p *Plane) vswitchSession(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	db, err := vswitchModel()
	if err != nil {
		return err
	}
	s, err := open(ctx, p.log, p.endpoint, db, vswitchMonitor()...)
	if err != nil {
		return err
	}
	defer s.client.Close()
	p.enter(func() { p.mu.south = s })
	defer func() {
		p.mu.Lock()
		p.mu.south = nil
		p.mu.Unlock()
	}()
	return p.serve(ctx, s, p.staleVSwitch, p.commitTrunk, p.beatVSwitch)
}

// serve commits at the session's begin, and then beats until the connection is lost.
func (p *Plane) serve(ctx context.Context, s *session, stale chan struct{}, commit, beat func(context.Context) error) error {
	if err := commit(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for {
		if err := beat(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.gone:
			return errors.New("the connection was lost")
		case <-stale:
			if err := commit(ctx); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}

// commitTrunk makes OVS as it shall be.
func (p *Plane) commitTrunk(ctx context.Context) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.give()
	p.mu.Lock()
	s, trunk := p.mu.south, p.mu.trunk
	p.mu.Unlock()
	if s == nil {
		return errors.New("there is no connection to OVS's database")
	}
	if err := p.configure(ctx, s, trunk); err != nil {
		return err
	}
	select {
	case <-p.configured:
	default:
		close(p.configured)
	}
	return nil
}

// Configured waits until OVS's database has what ovn-controller needs to start.
func (p *Plane) Configured(ctx context.Context) error {
	select {
	case <-p.configured:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
