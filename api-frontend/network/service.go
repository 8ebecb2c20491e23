package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
	"github.com/arca-engine/arca/api-frontend/store"
)

// Publisher takes events.
type Publisher interface{ Publish(m events.Message) }

// Config is what a Service is made of.
type Config struct {
	Store    *store.Store
	Events   Publisher
	EngineID string
	Created  time.Time // of the engine: the predefined networks are as old.
	Log      hclog.Logger
	Settings Settings
}

var (
	networksBucket = store.Bucket[*desired.Network]{Name: "networks"}
	runsBucket     = store.Bucket[*run]{Name: "endpoints"} // by container.
	epochBucket    = store.Bucket[uint64]{Name: "network"}
)

const epochKey = "epoch"

// run is what a run of a container has of networks.
type run struct {
	ID          string              `json:"id"` // of this run among all of the container.
	ContainerID string              `json:"containerID"`
	Endpoints   []*desired.Endpoint `json:"endpoints"` // in the order of their interfaces; those without a link are in host or none.
}

// with is the run with other endpoints.
func (r *run) with(eps []*desired.Endpoint) *run {
	return &run{ID: r.ID, ContainerID: r.ContainerID, Endpoints: eps}
}

// Service holds the networks of an instance.
type Service struct {
	cfg        Config
	fabric     Fabric
	containers Containers
	listensV6  func() bool // whether the host can listen on ::.

	// writing is held by whoever changes what is committed, from planning to publishing: one at a time.
	writing sync.Mutex

	mu       sync.RWMutex
	networks map[string]*desired.Network // by ID.
	runs     map[string]*run             // by container.
	version  uint64                      // of names: a generation.

	generations atomic.Uint64
	turns       turns // of the containers' runs.
	herald      *herald
	pruning     atomic.Bool
}

// Open loads the networks. Tell it the world with Use.
func Open(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, networks: map[string]*desired.Network{}, runs: map[string]*run{}, listensV6: sync.OnceValue(listensV6)}
	s.herald = newHerald(s)
	err := cfg.Store.Update(func(tx *store.Tx) error {
		// Generations go on growing over restarts: each start has an epoch of its own.
		epoch, err := epochBucket.Get(tx, epochKey)
		if err != nil && !isNotFound(err) {
			return err
		}
		s.generations.Store((epoch + 1) << 32)
		if err := epochBucket.Put(tx, epochKey, epoch+1); err != nil {
			return err
		}
		if err := networksBucket.Each(tx, func(id string, n *desired.Network) error { s.networks[id] = n; return nil }); err != nil {
			return err
		}
		return runsBucket.Each(tx, func(id string, r *run) error { s.runs[id] = r; return nil })
	})
	if err != nil {
		return nil, fmt.Errorf("load networks: %w", err)
	}
	s.version = s.generation()
	return s, nil
}

// Use sets the world, before the service is used, and makes the predefined networks.
func (s *Service) Use(f Fabric, c Containers) error {
	s.fabric, s.containers = f, c
	return s.predefine()
}

// Close ends what the service does by itself.
func (s *Service) Close() { s.herald.close() }

// generation is greater than all before it.
func (s *Service) generation() uint64 { return s.generations.Add(1) }

// commit writes the changes of networks and runs in one transaction, and shows them once they are durable. The caller
// holds writing.
func (s *Service) commit(changes ...change) error {
	err := s.cfg.Store.Update(func(tx *store.Tx) error {
		for _, c := range changes {
			if err := c.write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit networks: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		c.show(s)
	}
	s.version = s.generation()
	return nil
}

// change is one entry that is put, or deleted where its value is nil.
type change struct {
	id      string
	network *desired.Network
	run     *run
	isRun   bool
}

func putNetwork(n *desired.Network) change { return change{id: n.ID, network: n} }
func dropNetwork(id string) change         { return change{id: id} }
func putRun(r *run) change                 { return change{id: r.ContainerID, run: r, isRun: true} }
func dropRun(container string) change      { return change{id: container, isRun: true} }

func (c change) write(tx *store.Tx) error {
	switch {
	case c.run != nil:
		return runsBucket.Put(tx, c.id, c.run)
	case c.isRun:
		return runsBucket.Delete(tx, c.id)
	case c.network != nil:
		return networksBucket.Put(tx, c.id, c.network)
	default:
		return networksBucket.Delete(tx, c.id)
	}
}

func (c change) show(s *Service) {
	switch {
	case c.run != nil:
		s.runs[c.id] = c.run
	case c.isRun:
		delete(s.runs, c.id)
	case c.network != nil:
		s.networks[c.id] = c.network
	default:
		delete(s.networks, c.id)
	}
}

// find finds a network by its ID, its name or the beginning of its ID.
func (s *Service) find(ref string) (*desired.Network, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.findLocked(ref)
}

func (s *Service) findLocked(ref string) (*desired.Network, error) {
	if n, ok := s.networks[ref]; ok {
		return n, nil
	}
	var found []*desired.Network
	for _, n := range s.networks {
		if n.Name == ref {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(n.ID, ref) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, notFound(ref)
	case 1:
		return found[0], nil
	}
	return nil, ambiguous(ref, len(found))
}

// all returns the networks, sorted by name.
func (s *Service) all() []*desired.Network {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.networks), func(a, b *desired.Network) int { return strings.Compare(a.Name, b.Name) })
}

// State is all that the fabric makes, as of one moment.
func (s *Service) State() *desired.State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	state := &desired.State{}
	for _, id := range slices.Sorted(maps.Keys(s.networks)) {
		if n := s.networks[id]; n.Plain() {
			state.Networks = append(state.Networks, n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		state.Endpoints = append(state.Endpoints, linked(s.runs[id].Endpoints)...)
	}
	return state
}

// linked are the endpoints that have a link.
func linked(eps []*desired.Endpoint) []*desired.Endpoint {
	var out []*desired.Endpoint
	for _, ep := range eps {
		if ep.Link != "" {
			out = append(out, ep)
		}
	}
	return out
}

// tell publishes an event of a network.
func (s *Service) tell(n *desired.Network, action events.Action, container string) {
	attributes := map[string]string{"name": n.Name, "type": driverOf(n)}
	if container != "" {
		attributes["container"] = container
	}
	s.cfg.Events.Publish(events.Message{Type: events.NetworkEventType, Action: action, Actor: events.Actor{ID: n.ID, Attributes: attributes}})
}

// driverOf is the driver that a network shows: a template's is null, as dockerd's.
func driverOf(n *desired.Network) string {
	if n.ConfigOnly {
		return "null"
	}
	return n.Driver
}

// taken are the subnets of all networks.
func (s *Service) taken() []netip.Prefix {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []netip.Prefix
	for _, n := range s.networks {
		if n.ConfigOnly {
			continue
		}
		for _, p := range n.Pools {
			out = append(out, p.Subnet)
		}
	}
	return out
}

// pools are those from which subnets are chosen that nobody names.
func (s *Service) pools() []ipam.Pool {
	pools := s.cfg.Settings.Pools
	if len(pools) == 0 {
		pools = ipam.Defaults()
	}
	if !slices.ContainsFunc(pools, func(p ipam.Pool) bool { return p.Base.Addr().Is6() }) {
		pools = append(slices.Clone(pools), ipam.Unique(s.cfg.EngineID))
	}
	return pools
}

// detached returns a context for what must be ended although the client has left.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
}

const cleanupLimit = 10 * time.Second
