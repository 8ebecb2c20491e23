package control

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/helpervm/plan"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// Switching is what makes networks in layer 2.
type Switching interface {
	Replace(ctx context.Context, trunk string, networks []plan.Network, endpoints map[plan.ID][]plan.Endpoint) error
	Set(ctx context.Context, n plan.Network, endpoints []plan.Endpoint) error
	Remove(ctx context.Context, ids []plan.ID) error
}

// Routing is what makes gateways and decides what is forwarded.
type Routing interface {
	Replace(port string, uplink plan.Uplink, networks []plan.Network) error
	Set(n plan.Network) error
	Remove(ids []plan.ID) error
	// Await waits for interfaces that are still being made.
	Await(ctx context.Context, all bool, ids ...plan.ID) error
	Counters() (map[string]uint64, error)
}

// Names is what answers queries for names.
type Names interface {
	Set(upstream, host netip.Addr, clients []netip.Prefix)
	Counters() map[string]uint64
}

// Control serves the control API.
type Control struct {
	networkv1.UnimplementedControlServer

	log    hclog.Logger
	ovn    Switching
	layer3 Routing
	names  Names
	health Health

	// turn is held by the call that is carried out; state with it.
	turn   chan struct{}
	state  plan.State
	synced atomic.Bool
}

// New makes the face of three planes. Health tells of them and of the daemons.
func New(log hclog.Logger, ovn Switching, layer3 Routing, names Names, health Health) *Control {
	return &Control{log: log, ovn: ovn, layer3: layer3, names: names, health: health, turn: make(chan struct{}, 1),
		state: plan.State{Networks: map[plan.ID]plan.Network{}, Endpoints: map[plan.ID]plan.Endpoint{}}}
}

// Resync implements the service.
func (c *Control) Resync(ctx context.Context, r *networkv1.ResyncRequest) (*networkv1.ResyncResponse, error) {
	state, err := plan.ParseState(r.GetState())
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	err = c.inTurn(ctx, func() error {
		c.state = state
		c.synced.Store(true)
		c.tellNames()
		networks := c.networks()
		return c.each("resync",
			func() error { return c.layer3.Replace(state.OVSLink, state.Uplink, networks) },
			func() error { return c.ovn.Replace(ctx, state.OVSLink, networks, c.byNetwork()) })
	})
	err = errors.Join(err, c.layer3.Await(ctx, true))
	return &networkv1.ResyncResponse{}, errgrpc.ToGRPC(err)
}

// ApplyNetworks implements the service.
func (c *Control) ApplyNetworks(ctx context.Context, r *networkv1.ApplyNetworksRequest) (*networkv1.ApplyNetworksResponse, error) {
	list := make([]plan.Network, 0, len(r.GetNetworks()))
	for _, m := range r.GetNetworks() {
		n, err := plan.ParseNetwork(m)
		if err != nil {
			return nil, errgrpc.ToGRPC(err)
		}
		list = append(list, n)
	}
	err := c.inTurn(ctx, func() error {
		var tasks []func() error
		for _, n := range list {
			c.state.Networks[n.ID] = n
			tasks = append(tasks, func() error { return c.ovn.Set(ctx, n, c.endpointsOf(n.ID)) })
		}
		c.tellNames()
		for _, n := range list {
			tasks = append(tasks, func() error { return c.layer3.Set(n) })
		}
		return c.each("apply networks", tasks...)
	})
	ids := make([]plan.ID, 0, len(list))
	for _, n := range list {
		ids = append(ids, n.ID)
	}
	err = errors.Join(err, c.layer3.Await(ctx, false, ids...))
	return &networkv1.ApplyNetworksResponse{}, errgrpc.ToGRPC(err)
}

// RemoveNetworks implements the service.
func (c *Control) RemoveNetworks(ctx context.Context, r *networkv1.RemoveNetworksRequest) (*networkv1.RemoveNetworksResponse, error) {
	ids, err := plan.ParseIDs(r.GetIds())
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	err = c.inTurn(ctx, func() error {
		for _, id := range ids {
			delete(c.state.Networks, id)
		}
		maps.DeleteFunc(c.state.Endpoints, func(_ plan.ID, e plan.Endpoint) bool { return slices.Contains(ids, e.Network) })
		c.tellNames()
		return c.each("remove networks",
			func() error { return c.layer3.Remove(ids) },
			func() error { return c.ovn.Remove(ctx, ids) })
	})
	return &networkv1.RemoveNetworksResponse{}, errgrpc.ToGRPC(err)
}

// ApplyEndpoints implements the service. An endpoint that is older than the one we have is left alone.
func (c *Control) ApplyEndpoints(ctx context.Context, r *networkv1.ApplyEndpointsRequest) (*networkv1.ApplyEndpointsResponse, error) {
	list := make([]plan.Endpoint, 0, len(r.GetEndpoints()))
	for _, m := range r.GetEndpoints() {
		e, err := plan.ParseEndpoint(m)
		if err != nil {
			return nil, errgrpc.ToGRPC(err)
		}
		list = append(list, e)
	}
	err := c.inTurn(ctx, func() error {
		for _, e := range list {
			if _, ok := c.state.Networks[e.Network]; !ok {
				return errors.Join(errdefs.ErrNotFound, errors.New("there is no network "+e.Network.Short()))
			}
		}
		touched := map[plan.ID]bool{}
		for _, e := range list {
			old, existed := c.state.Endpoints[e.ID]
			if existed && old.Generation > e.Generation {
				continue
			}
			if existed {
				touched[old.Network] = true
			}
			touched[e.Network] = true
			c.state.Endpoints[e.ID] = e
		}
		return c.setNetworks(ctx, "apply endpoints", touched)
	})
	return &networkv1.ApplyEndpointsResponse{}, errgrpc.ToGRPC(err)
}

// RemoveEndpoints implements the service.
func (c *Control) RemoveEndpoints(ctx context.Context, r *networkv1.RemoveEndpointsRequest) (*networkv1.RemoveEndpointsResponse, error) {
	ids, err := plan.ParseIDs(r.GetIds())
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	err = c.inTurn(ctx, func() error {
		touched := map[plan.ID]bool{}
		for _, id := range ids {
			if e, ok := c.state.Endpoints[id]; ok {
				touched[e.Network] = true
				delete(c.state.Endpoints, id)
			}
		}
		return c.setNetworks(ctx, "remove endpoints", touched)
	})
	return &networkv1.RemoveEndpointsResponse{}, errgrpc.ToGRPC(err)
}

// Counters implements the service.
func (c *Control) Counters(ctx context.Context, _ *networkv1.CountersRequest) (*networkv1.CountersResponse, error) {
	counters := c.names.Counters()
	packets, err := c.layer3.Counters()
	if err != nil {
		return nil, errgrpc.ToGRPC(err)
	}
	maps.Copy(counters, packets)
	err = c.inTurn(ctx, func() error {
		counters["networks"], counters["endpoints"] = uint64(len(c.state.Networks)), uint64(len(c.state.Endpoints))
		return nil
	})
	return &networkv1.CountersResponse{Counters: counters}, errgrpc.ToGRPC(err)
}

func (c *Control) inTurn(ctx context.Context, f func() error) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// each carries out all tasks, whatever becomes of the others.
func (c *Control) each(what string, tasks ...func() error) error {
	errs := make([]error, 0, len(tasks))
	for _, t := range tasks {
		errs = append(errs, t())
	}
	err := errors.Join(errs...)
	if err != nil {
		c.log.Warn("a change was not carried out whole", "change", what, "error", err)
	}
	return err
}

func (c *Control) setNetworks(ctx context.Context, what string, ids map[plan.ID]bool) error {
	var tasks []func() error
	for id := range ids {
		if n, ok := c.state.Networks[id]; ok {
			tasks = append(tasks, func() error { return c.ovn.Set(ctx, n, c.endpointsOf(id)) })
		}
	}
	return c.each(what, tasks...)
}

func (c *Control) networks() []plan.Network {
	return slices.SortedFunc(maps.Values(c.state.Networks), func(a, b plan.Network) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

func (c *Control) endpointsOf(id plan.ID) []plan.Endpoint {
	var list []plan.Endpoint
	for _, e := range c.state.Endpoints {
		if e.Network == id {
			list = append(list, e)
		}
	}
	return list
}

func (c *Control) byNetwork() map[plan.ID][]plan.Endpoint {
	lists := map[plan.ID][]plan.Endpoint{}
	for _, e := range c.state.Endpoints {
		lists[e.Network] = append(lists[e.Network], e)
	}
	return lists
}

// tellNames says whose queries are answered: those of networks that are not internal.
func (c *Control) tellNames() {
	var clients []netip.Prefix
	for _, n := range c.state.Networks {
		if n.Internal || n.Gateway == nil {
			continue
		}
		for _, s := range n.Subnets {
			clients = append(clients, s.Prefix)
		}
	}
	c.names.Set(c.state.Uplink.DNS, c.state.Uplink.Host, clients)
}
