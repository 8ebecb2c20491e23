package fabric

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// table is what shall be.
type table struct {
	mu        sync.Mutex
	networks  map[string]*desired.Network
	endpoints map[string]*desired.Endpoint
	changes   uint64 // counts the changes.
}

func newTable() *table {
	return &table{networks: map[string]*desired.Network{}, endpoints: map[string]*desired.Endpoint{}}
}

// bridged tells whether a network is a broadcast domain: host and null networks are none.
func bridged(n *desired.Network) bool { return n.Driver == "bridge" }

func (t *table) putNetwork(n *desired.Network) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.networks[n.ID] = n
	t.changes++
}

// removeNetwork forgets a network and its endpoints, and returns it; nil when it was not there.
func (t *table) removeNetwork(id string) *desired.Network {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.networks[id]
	delete(t.networks, id)
	maps.DeleteFunc(t.endpoints, func(_ string, ep *desired.Endpoint) bool { return ep.NetworkID == id })
	t.changes++
	return n
}

func (t *table) putEndpoints(eps ...*desired.Endpoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ep := range eps {
		t.endpoints[ep.ID] = ep
	}
	t.changes++
}

func (t *table) removeEndpoints(ids ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.endpoints, id)
	}
	t.changes++
}

func (t *table) network(id string) *desired.Network {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.networks[id]
}

// snapshot is everything, in a fixed order, and which change it is.
func (t *table) snapshot() (desired.State, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := desired.State{Networks: slices.Collect(maps.Values(t.networks)), Endpoints: slices.Collect(maps.Values(t.endpoints))}
	slices.SortFunc(s.Networks, func(a, b *desired.Network) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Endpoints, func(a, b *desired.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return s, t.changes
}

func (t *table) unchangedSince(changes uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changes == changes
}
