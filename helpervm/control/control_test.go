package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/helpervm/plan"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// fakeSwitching holds what it was told; err is what every change ends with.
type fakeSwitching struct {
	ports map[plan.ID][]string
	err   error
}

func ids(endpoints []plan.Endpoint) []string {
	list := []string{}
	for _, e := range endpoints {
		list = append(list, string(e.ID[:2]))
	}
	slices.Sort(list)
	return list
}

func (f *fakeSwitching) Replace(_ context.Context, _ string, networks []plan.Network, endpoints map[plan.ID][]plan.Endpoint) error {
	f.ports = map[plan.ID][]string{}
	for _, n := range networks {
		f.ports[n.ID] = ids(endpoints[n.ID])
	}
	return f.err
}

func (f *fakeSwitching) Set(_ context.Context, n plan.Network, endpoints []plan.Endpoint) error {
	f.ports[n.ID] = ids(endpoints)
	return f.err
}

func (f *fakeSwitching) Remove(_ context.Context, list []plan.ID) error {
	for _, id := range list {
		delete(f.ports, id)
	}
	return f.err
}

// fakeRouting holds what it was told.
type fakeRouting struct {
	networks map[plan.ID]plan.Network
	awaited  int
}

func (f *fakeRouting) Replace(_ string, _ plan.Uplink, networks []plan.Network) error {
	f.networks = map[plan.ID]plan.Network{}
	for _, n := range networks {
		f.networks[n.ID] = n
	}
	return nil
}

func (f *fakeRouting) Set(n plan.Network) error {
	f.networks[n.ID] = n
	return nil
}

func (f *fakeRouting) Remove(list []plan.ID) error {
	maps.DeleteFunc(f.networks, func(id plan.ID, _ plan.Network) bool { return slices.Contains(list, id) })
	return nil
}

func (f *fakeRouting) Await(context.Context, bool, ...plan.ID) error {
	f.awaited++
	return nil
}

func (f *fakeRouting) Counters() (map[string]uint64, error) {
	return map[string]uint64{"dropped_packets": 3}, nil
}

type fakeNames struct {
	upstream netip.Addr
	clients  []netip.Prefix
}

func (f *fakeNames) Set(upstream, _ netip.Addr, clients []netip.Prefix) {
	f.upstream, f.clients = upstream, clients
}

func (f *fakeNames) Counters() map[string]uint64 { return map[string]uint64{"dns_queries": 5} }

type fakeHealth []Part

func (f fakeHealth) Parts(context.Context) []Part { return f }

type desk struct {
	*Control
	ovn    *fakeSwitching
	kernel *fakeRouting
	names  *fakeNames
}

func newDesk() desk {
	d := desk{ovn: &fakeSwitching{ports: map[plan.ID][]string{}}, kernel: &fakeRouting{networks: map[plan.ID]plan.Network{}}, names: &fakeNames{}}
	d.Control = New(hclog.NewNullLogger(), d.ovn, d.kernel, d.names, fakeHealth{{Name: "a"}, {Name: "b", Problem: "It is ill.", Restarts: 2}})
	return d
}

func id(c string) string { return strings.Repeat(c, 64) }

func network(c string, internal bool) *networkv1.Network {
	return &networkv1.Network{Id: id(c), Internal: internal, Subnets: []*networkv1.Subnet{{Cidr: "10.1.0.0/24", Gateway: "10.1.0.1"}},
		Gateway: &networkv1.Gateway{Link: "g" + c, Mac: []byte{2, 0, 0, 0, 0, 1}, OvsTag: 1, EndpointId: id("0")}}
}

func endpoint(c, network string, generation uint64) *networkv1.Endpoint {
	return &networkv1.Endpoint{Id: id(c), NetworkId: id(network), Generation: generation, Mac: []byte{2, 0, 0, 0, 0, 2}, OvsTag: 2}
}

// TestCalls: each call has its effect, again and again the same.
func TestCalls(t *testing.T) {
	d := newDesk()
	ctx := t.Context()
	state := &networkv1.State{Uplink: &networkv1.Uplink{Link: "up", DnsAddress: "192.0.2.1"}, Networks: []*networkv1.Network{network("a", false), network("b", true)}, Endpoints: []*networkv1.Endpoint{endpoint("1", "a", 1)}}
	steps := []struct {
		name  string
		call  func() error
		ports string
	}{
		{"resync", func() error { _, err := d.Resync(ctx, &networkv1.ResyncRequest{State: state}); return err }, "a[11] b[]"},
		{"apply networks", func() error {
			_, err := d.ApplyNetworks(ctx, &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{network("c", false), network("a", false)}})
			return err
		}, "a[11] b[] c[]"},
		{"apply endpoints", func() error {
			_, err := d.ApplyEndpoints(ctx, &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{endpoint("2", "a", 1), endpoint("3", "c", 5)}})
			return err
		}, "a[11 22] b[] c[33]"},
		{"move an endpoint", func() error {
			_, err := d.ApplyEndpoints(ctx, &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{endpoint("2", "b", 2)}})
			return err
		}, "a[11] b[22] c[33]"},
		{"an old message", func() error {
			_, err := d.ApplyEndpoints(ctx, &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{endpoint("2", "a", 1), endpoint("3", "a", 4)}})
			return err
		}, "a[11] b[22] c[33]"},
		{"remove endpoints", func() error {
			_, err := d.RemoveEndpoints(ctx, &networkv1.RemoveEndpointsRequest{Ids: []string{id("1"), id("f")}})
			return err
		}, "a[] b[22] c[33]"},
		{"remove networks", func() error {
			_, err := d.RemoveNetworks(ctx, &networkv1.RemoveNetworksRequest{Ids: []string{id("c"), id("f")}})
			return err
		}, "a[] b[22]"},
		{"resync again", func() error { _, err := d.Resync(ctx, &networkv1.ResyncRequest{State: state}); return err }, "a[11] b[]"},
	}
	for _, s := range steps {
		for range 2 {
			if err := s.call(); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			var got []string
			for _, n := range slices.Sorted(maps.Keys(d.ovn.ports)) {
				got = append(got, string(n[:1])+fmt.Sprint(d.ovn.ports[n]))
				if _, ok := d.kernel.networks[n]; !ok {
					t.Errorf("%s: the kernel lacks a network", s.name)
				}
			}
			if text := strings.Join(got, " "); text != s.ports || len(got) != len(d.kernel.networks) {
				t.Errorf("%s: got %s, want %s", s.name, text, s.ports)
			}
		}
	}
	if len(d.names.clients) != 1 || d.names.upstream.String() != "192.0.2.1" {
		t.Errorf("names are answered to %v by %s", d.names.clients, d.names.upstream)
	}
	if d.kernel.awaited == 0 {
		t.Error("interfaces are not waited for")
	}
	c, err := d.Counters(ctx, &networkv1.CountersRequest{})
	if want := map[string]uint64{"networks": 2, "endpoints": 1, "dropped_packets": 3, "dns_queries": 5}; err != nil || !maps.Equal(c.GetCounters(), want) {
		t.Errorf("counters: %v, %v", c.GetCounters(), err)
	}
}

func TestRefusals(t *testing.T) {
	d := newDesk()
	ctx := t.Context()
	_, err := d.Resync(ctx, &networkv1.ResyncRequest{State: &networkv1.State{Networks: []*networkv1.Network{{Id: "x"}}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a bad state: %v", err)
	}
	if h, err := d.Health(ctx, &networkv1.HealthRequest{}); err != nil || h.Synced {
		t.Errorf("synced by a refused state: %v, %v", h, err)
	}
	_, err = d.ApplyEndpoints(ctx, &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{endpoint("1", "a", 1)}})
	if status.Code(err) != codes.NotFound {
		t.Errorf("an endpoint of no network: %v", err)
	}
	for _, call := range []func(id string) error{
		func(id string) error {
			_, err := d.RemoveNetworks(ctx, &networkv1.RemoveNetworksRequest{Ids: []string{id}})
			return err
		},
		func(id string) error {
			_, err := d.RemoveEndpoints(ctx, &networkv1.RemoveEndpointsRequest{Ids: []string{id}})
			return err
		},
	} {
		if err := call("../x"); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a bad ID: %v", err)
		}
	}
}

// TestRemembered: what could not be carried out is said again to the next who asks.
func TestRemembered(t *testing.T) {
	d := newDesk()
	d.ovn.err = fmt.Errorf("it is down: %w", errdefs.ErrUnavailable)
	_, err := d.ApplyNetworks(t.Context(), &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{network("a", false)}})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if len(d.kernel.networks) != 1 {
		t.Error("the kernel was not told, because OVN could not be")
	}
	d.ovn.err = nil
	if _, err := d.ApplyEndpoints(t.Context(), &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{endpoint("1", "a", 1)}}); err != nil {
		t.Errorf("the network was forgotten: %v", err)
	}
}

func TestHealth(t *testing.T) {
	d := newDesk()
	d.turn <- struct{}{} // A change is under way: health is told nevertheless.
	h, err := d.Health(t.Context(), &networkv1.HealthRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Ready || len(h.Parts) != 2 || !h.Parts[0].Ready || h.Parts[1].Ready || h.Parts[1].Problem != "It is ill." || h.Parts[1].Restarts != 2 {
		t.Errorf("health: %v", h)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has left")
	cancel(gone)
	if _, err := d.Counters(ctx, &networkv1.CountersRequest{}); err == nil {
		t.Error("a call whose client has left waits for its turn")
	}
}
