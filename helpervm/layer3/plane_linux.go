package layer3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/helpervm/plan"
)

// linkLimit is how long a change waits for an interface that is still being made.
const linkLimit = 3 * time.Second

// Plane is the kernel's part of all networks.
type Plane struct {
	log   hclog.Logger
	links links
	rules rules

	mu struct {
		sync.Mutex
		uplink   plan.Uplink
		port     string // the ovs link; empty: there is none.
		networks map[plan.ID]plan.Network
		owners   map[string]plan.ID // networks by the name of their interface.
		done     map[string]int     // index of each interface that is as it shall be.
		problems map[string]error   // by interface, of the last try.
		changed  chan struct{}      // closed and replaced when done or problems change.
	}
}

// New makes the plane with an empty table of rules: nothing is forwarded yet.
func New(log hclog.Logger) (*Plane, error) {
	p := &Plane{log: log}
	p.mu.networks, p.mu.owners = map[plan.ID]plan.Network{}, map[string]plan.ID{}
	p.mu.done, p.mu.problems = map[string]int{}, map[string]error{}
	p.mu.changed = make(chan struct{})
	if err := p.rules.reset(""); err != nil {
		return nil, err
	}
	return p, writeGlobalSysctls()
}

// Replace makes the plane hold these networks and no other; port is the link that is OVS's alone. What is right already
// is not touched.
func (p *Plane) Replace(port string, uplink plan.Uplink, networks []plan.Network) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replaceLocked(port, uplink, networks)
}

func (p *Plane) replaceLocked(port string, uplink plan.Uplink, networks []plan.Network) error {
	wanted := map[plan.ID]bool{}
	for _, n := range networks {
		wanted[n.ID] = true
	}
	for id := range p.mu.networks {
		if !wanted[id] {
			if err := p.removeLocked(id); err != nil {
				return err
			}
		}
	}
	if p.mu.port != port {
		delete(p.mu.done, p.mu.port)
		p.mu.port = port
		if port != "" {
			p.tryLocked(port)
		}
	}
	if old := p.mu.uplink; old != uplink {
		p.mu.uplink = uplink
		if err := p.rules.setUplink(uplink); err != nil {
			return err
		}
		if old.Link != "" && old.Link != uplink.Link {
			delete(p.mu.done, old.Link)
			if err := p.links.clear(old.Link, false); err != nil {
				return err
			}
		}
		if uplink.Link != "" {
			delete(p.mu.done, uplink.Link)
			p.tryLocked(uplink.Link)
		}
		if old.ReachableNetworks != uplink.ReachableNetworks || old.Host != uplink.Host {
			for _, n := range p.mu.networks {
				if n.Gateway == nil {
					continue
				}
				if err := p.rules.set(n, uplink); err != nil {
					return fmt.Errorf("network %s: %w", n.ID.Short(), err)
				}
				p.forgetConnections(n)
			}
		}
	}
	for _, n := range networks {
		if err := p.setLocked(n); err != nil {
			return err
		}
	}
	return nil
}

// Set makes or changes a network.
func (p *Plane) Set(n plan.Network) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.setLocked(n)
}

// Remove takes networks away.
func (p *Plane) Remove(ids []plan.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, p.removeLocked(id))
	}
	return errors.Join(errs...)
}

// setLocked has the rules right before the interface is.
func (p *Plane) setLocked(n plan.Network) error {
	name := n.Interface()
	old, existed := p.mu.networks[n.ID]
	if existed && old.Interface() != name {
		if err := p.removeLocked(n.ID); err != nil {
			return err
		}
		existed = false
	}
	if name != "" {
		if owner, taken := p.mu.owners[name]; taken && owner != n.ID || name == p.mu.uplink.Link || name == p.mu.port {
			return fmt.Errorf("network %s: its interface %s is another one's: %w", n.ID.Short(), name, errdefs.ErrAlreadyExists)
		}
	}
	if existed && reflect.DeepEqual(old, n) {
		return nil
	}
	if name != "" {
		if err := p.rules.set(n, p.mu.uplink); err != nil {
			return fmt.Errorf("network %s: %w", n.ID.Short(), err)
		}
		if existed && judgesOtherwise(old, n) {
			p.forgetConnections(old)
		}
		p.mu.owners[name] = n.ID
		delete(p.mu.done, name)
	}
	p.mu.networks[n.ID] = n
	if name != "" {
		p.tryLocked(name)
	}
	return nil
}

func (p *Plane) removeLocked(id plan.ID) error {
	n, ok := p.mu.networks[id]
	if !ok {
		return nil
	}
	name := n.Interface()
	if name != "" {
		if err := p.rules.remove(n); err != nil {
			return fmt.Errorf("network %s: %w", id.Short(), err)
		}
		p.forgetConnections(n)
		if err := p.links.clear(name, n.Gateway.Tag != 0); err != nil {
			return fmt.Errorf("network %s: %w", id.Short(), err)
		}
		delete(p.mu.owners, name)
		delete(p.mu.done, name)
		delete(p.mu.problems, name)
		p.announceLocked()
	}
	delete(p.mu.networks, id)
	return nil
}

// tryLocked makes an interface as it shall be, if it is there.
func (p *Plane) tryLocked(name string) {
	index, err := p.configureLocked(name)
	if err != nil {
		p.mu.problems[name] = err
		delete(p.mu.done, name)
	} else {
		delete(p.mu.problems, name)
		p.mu.done[name] = index
	}
	p.announceLocked()
}

func (p *Plane) configureLocked(name string) (index int, err error) {
	switch name {
	case p.mu.uplink.Link:
		return p.links.uplink(p.mu.uplink)
	case p.mu.port:
		return p.links.port(name)
	}
	return p.links.gateway(p.mu.networks[p.mu.owners[name]])
}

func (p *Plane) announceLocked() {
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

// Await waits until the interfaces of these networks are as they shall be, and with all those of every network, the
// uplink and the ovs link. One that does not appear in time is taken up when it does.
func (p *Plane) Await(ctx context.Context, all bool, ids ...plan.ID) error {
	ctx, cancel := context.WithTimeout(ctx, linkLimit)
	defer cancel()
	for {
		p.mu.Lock()
		changed := p.mu.changed
		missing, problem := p.missingLocked(all, ids)
		p.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		if problem != nil && !isAbsent(problem) {
			return problem
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the interfaces %v did not appear and will be taken up when they do: %w", missing, errdefs.ErrUnavailable)
		}
	}
}

// missingLocked are the names of interfaces that are not as they shall be, and why.
func (p *Plane) missingLocked(all bool, ids []plan.ID) (missing []string, problem error) {
	var names []string
	if all {
		names = append(slices.Collect(maps.Keys(p.mu.owners)), p.mu.uplink.Link, p.mu.port)
	}
	for _, id := range ids {
		if n, ok := p.mu.networks[id]; ok {
			names = append(names, n.Interface())
		}
	}
	for _, name := range names {
		if _, done := p.mu.done[name]; !done && name != "" {
			missing = append(missing, name)
			// What is more than absent comes first, so that it is told.
			if err := p.mu.problems[name]; err != nil && (problem == nil || isAbsent(problem)) {
				problem = err
			}
		}
	}
	slices.Sort(missing)
	return missing, problem
}

// Problem says what keeps the plane from being as it shall be; empty: nothing does.
func (p *Plane) Problem() string {
	if err := p.rules.check(); err != nil {
		return err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.mu.problems)) {
		if err := p.mu.problems[name]; !isAbsent(err) {
			return err.Error()
		}
	}
	return ""
}

// Counters tells how many packets came to be forwarded, and how many were dropped.
func (p *Plane) Counters() (map[string]uint64, error) { return p.rules.counters() }
