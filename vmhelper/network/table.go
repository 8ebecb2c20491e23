package network

import (
	"net/netip"
	"sync"

	"github.com/arca-engine/arca/vmhelper/publish"
	"github.com/arca-engine/arca/vmhelper/relay"
)

// table keeps what the relay was told, for those who look an endpoint up by its ID.
type table struct {
	mu        sync.Mutex
	networks  map[string]relay.Network
	endpoints map[string]relay.Endpoint
	gateways  map[string][]netip.Addr // by network.
	changed   chan struct{}
}

func newTable() *table {
	return &table{networks: map[string]relay.Network{}, endpoints: map[string]relay.Endpoint{}, changed: make(chan struct{})}
}

// indexLocked finds the gateways.
func (t *table) indexLocked() {
	t.gateways = map[string][]netip.Addr{}
	for _, e := range t.endpoints {
		if e.Gateway {
			t.gateways[e.Network] = append(t.gateways[e.Network], e.Addresses...)
		}
	}
}

// touch tells those who wait that something has changed.
func (t *table) touch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *table) sync(n relay.Table) {
	defer t.touch()
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.indexLocked()
	clear(t.networks)
	clear(t.endpoints)
	for _, n := range n.Networks {
		t.networks[n.ID] = n
	}
	for _, e := range n.Endpoints {
		t.endpoints[e.ID] = e
	}
}

func (t *table) change(c relay.Change) {
	defer t.touch()
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.indexLocked()
	for _, id := range c.RemoveEndpoints {
		delete(t.endpoints, id)
	}
	for _, id := range c.RemoveNetworks {
		delete(t.networks, id)
		for eid, e := range t.endpoints {
			if e.Network == id {
				delete(t.endpoints, eid)
			}
		}
	}
	for _, n := range c.Networks {
		if n.Generation > t.networks[n.ID].Generation {
			t.networks[n.ID] = n
		}
	}
	for _, e := range c.Endpoints {
		if e.Generation > t.endpoints[e.ID].Generation {
			t.endpoints[e.ID] = e
		}
	}
}

// Sync replaces the table.
func (p *Plane) Sync(t relay.Table) error {
	if err := p.Relay.Sync(t); err != nil {
		return err
	}
	p.table.sync(t)
	return nil
}

// Change changes the table.
func (p *Plane) Change(c relay.Change) error {
	if err := p.Relay.Change(c); err != nil {
		return err
	}
	p.table.change(c)
	return nil
}

// view is the table as published ports see it.
func (p *Plane) view() publish.Table { return view{p} }

type view struct{ p *Plane }

// Changed implements publish.Table.
func (v view) Changed() <-chan struct{} {
	v.p.table.mu.Lock()
	defer v.p.table.mu.Unlock()
	return v.p.table.changed
}

// HasNetwork implements publish.Table.
func (v view) HasNetwork(id string) bool {
	v.p.table.mu.Lock()
	defer v.p.table.mu.Unlock()
	_, ok := v.p.table.networks[id]
	return ok
}

// Endpoint implements publish.Table. One whose link is not attached is not there.
func (v view) Endpoint(id string) (publish.Endpoint, bool) {
	t := v.p.table
	t.mu.Lock()
	e, ok := t.endpoints[id]
	n := t.networks[e.Network]
	gateways := t.gateways[e.Network]
	t.mu.Unlock()
	if !ok {
		return publish.Endpoint{}, false
	}
	mtu := v.p.mtu(e.Link)
	if mtu == 0 {
		return publish.Endpoint{}, false
	}
	return publish.Endpoint{Network: e.Network, Addresses: e.Addresses, Gateways: gateways, Subnets: n.Subnets, MTU: mtu}, true
}
