package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// silence is how long nothing must come.
const silence = 300 * time.Millisecond

// bed is a helper with an ovs link, one network and endpoints in it.
type bed struct {
	*helper
	ovs   *tap
	state *networkv1.State
}

func network(n int, mutate ...func(*networkv1.Network)) *networkv1.Network {
	net := &networkv1.Network{Id: id64('a', n), Masquerade: true, Subnets: []*networkv1.Subnet{{Cidr: fmt.Sprintf("10.9.%d.0/24", n), Gateway: fmt.Sprintf("10.9.%d.1", n)}}}
	for _, m := range mutate {
		m(net)
	}
	return net
}

func newBed(t *testing.T, networks []*networkv1.Network, endpoints ...*networkv1.Endpoint) *bed {
	t.Helper()
	b := &bed{helper: startHelper(t)}
	b.ovs = b.ns.tap("ovs")
	b.state = &networkv1.State{OvsLink: "ovs", Networks: networks, Endpoints: endpoints}
	b.begin()
	return b
}

// begin tells a helper that has just started its state, and waits until it is ready.
func (b *bed) begin() {
	b.t.Helper()
	const startLimit = 20 * time.Second // A machine that does much else starts daemons slowly.
	b.eventually(startLimit, func() error {
		_, err := b.api.Resync(b.t.Context(), &networkv1.ResyncRequest{State: b.state})
		return err
	})
	b.ready(startLimit)
}

// passes sends a frame until it comes out: OVN takes a moment to have flows.
func (b *bed) passes(frame []byte, wanted func([]byte) bool) {
	b.t.Helper()
	b.eventually(10*time.Second, func() error {
		b.ovs.send(frame)
		if b.ovs.receive(100*time.Millisecond, wanted) == nil {
			return fmt.Errorf("a frame did not come out\n%s", b.tool("ovs-vsctl", b.database(), "show"))
		}
		return nil
	})
}

func (b *bed) isDropped(frame []byte, wanted func([]byte) bool) {
	b.t.Helper()
	b.ovs.send(frame)
	if f := b.ovs.receive(silence, wanted); f != nil {
		b.t.Errorf("a frame came out that must not: % x", f)
	}
}

func TestSwitch(t *testing.T) {
	one, two, other := newPlace(1, 1, "10.9.1.2"), newPlace(1, 2, "10.9.1.3"), newPlace(2, 1, "10.9.2.2")
	n1, n2 := network(1), network(2)
	b := newBed(t, []*networkv1.Network{n1, n2}, one.endpoint(n1.Id), two.endpoint(n1.Id), other.endpoint(n2.Id))

	b.passes(one.udp(two, 1000, 2000), from(one, two))
	b.passes(two.udp(one, 2000, 1000), from(two, one))
	// Somebody unknown is asked for: everybody of the network hears it, nobody else.
	unknown := one
	unknown.ip = one.ip.Next().Next().Next()
	b.passes(one.asks(unknown.ip), from(one, two))
	b.isDropped(one.asks(unknown.ip), from(one, other))
	b.isDropped(one.udp(other, 1, 1), func(f []byte) bool { return from(one, other)(f) || from(one, two)(f) })
	// OVN answers for whom it knows.
	b.passes(one.asks(two.ip), from(two, one))
	// A sender that lies is not heard.
	liar := one
	liar.ip = two.ip
	b.isDropped(liar.udp(two, 1, 1), from(liar, two))
	liar = one
	liar.mac = other.mac
	b.isDropped(liar.udp(two, 1, 1), from(liar, two))
	b.hasNoConntrack()

	// Removed is removed at once, and comes back.
	if _, err := b.api.RemoveEndpoints(t.Context(), &networkv1.RemoveEndpointsRequest{Ids: []string{two.id}}); err != nil {
		t.Fatal(err)
	}
	b.eventually(3*time.Second, func() error {
		b.ovs.send(one.udp(two, 1000, 2000))
		if b.ovs.receive(100*time.Millisecond, from(one, two)) != nil {
			return fmt.Errorf("a removed endpoint still gets frames")
		}
		return nil
	})
	if _, err := b.api.ApplyEndpoints(t.Context(), &networkv1.ApplyEndpointsRequest{Endpoints: []*networkv1.Endpoint{two.endpoint(n1.Id)}}); err != nil {
		t.Fatal(err)
	}
	b.passes(one.udp(two, 1000, 2000), from(one, two))
}

var (
	conntrack = regexp.MustCompile(`\bct\(|ct_clear|ct_nat`)
	// setsBit are OVN's requests for conntrack: bits of its first register.
	setsBit = regexp.MustCompile(`load:0x1->NXM_NX_XXREG0\[(96|97|98|100)\]`)
)

// hasNoConntrack looks for conntrack in what ovs-vswitchd does. OVN always has flows with ct() for packets that carry its
// request for that; no flow may make such a request, and nothing that was done used it.
func (b *bed) hasNoConntrack() {
	b.t.Helper()
	for line := range strings.Lines(b.tool("ovs-ofctl", "-OOpenFlow15", "dump-flows", "br-int")) {
		if conntrack.MatchString(line) && !strings.Contains(line, "n_packets=0,") {
			b.t.Errorf("a flow with conntrack was used: %s", line)
		}
		if setsBit.MatchString(line) {
			b.t.Errorf("a flow asks for conntrack: %s", line)
		}
	}
	if flows := b.tool("ovs-appctl", "-t", "/run/"+b.runName()+"/ovs/ovs-vswitchd.ctl", "dpctl/dump-flows"); conntrack.MatchString(flows) {
		b.t.Errorf("conntrack in the data path:\n%s", flows)
	}
}

func TestIsolated(t *testing.T) {
	n := network(1, func(n *networkv1.Network) { n.Isolated = true })
	one, two := newPlace(1, 1, "10.9.1.2"), newPlace(1, 2, "10.9.1.3")
	gateway := newPlace(1, 0, "10.9.1.1")
	n.Gateway = &networkv1.Gateway{Link: gatewayName(n), Mac: gateway.mac, OvsTag: uint32(gateway.tag), EndpointId: gateway.id}
	b := &bed{helper: startHelper(t)}
	b.ovs = b.ns.tap("ovs")
	b.ns.tap(n.Gateway.Link)
	b.state = &networkv1.State{OvsLink: "ovs", Networks: []*networkv1.Network{n}, Endpoints: []*networkv1.Endpoint{one.endpoint(n.Id), two.endpoint(n.Id)}}
	b.begin()
	b.passes(one.udp(gateway, 1, 1), from(one, gateway))
	b.passes(gateway.udp(one, 1, 1), from(gateway, one))
	b.isDropped(one.udp(two, 1, 1), from(one, two))
	unknown := one.ip.Next().Next().Next()
	b.isDropped(one.asks(unknown), from(one, two))
	b.passes(one.asks(unknown), from(one, gateway))
	b.hasNoConntrack()

	// It is changed while it works, and back.
	n.Isolated = false
	if _, err := b.api.ApplyNetworks(t.Context(), &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{n}}); err != nil {
		t.Fatal(err)
	}
	b.passes(one.udp(two, 1, 1), from(one, two))
}

func TestPolicyBetween(t *testing.T) {
	const syn, synAck = 0x02, 0x12
	n := network(1, func(n *networkv1.Network) {
		n.Rules = []*networkv1.Rule{
			{Name: "web", Allow: true, Direction: networkv1.Rule_BETWEEN, Protocol: "tcp", Sources: []string{"10.9.1.2/32"}, PortFirst: 80},
			{Name: "names", Direction: networkv1.Rule_ANY, Protocol: "udp", Destinations: []string{"10.9.1.0/28"}, PortFirst: 53, PortLast: 54},
			{Name: "rest", Direction: networkv1.Rule_BETWEEN, Protocol: "tcp"},
			{Name: "elsewhere", Direction: networkv1.Rule_OUT},
		}
	})
	one, two := newPlace(1, 1, "10.9.1.2"), newPlace(1, 2, "10.9.1.3")
	b := newBed(t, []*networkv1.Network{n}, one.endpoint(n.Id), two.endpoint(n.Id))
	b.passes(one.tcp(two, 4000, 80, syn), from(one, two))
	b.passes(two.tcp(one, 80, 4000, synAck), from(two, one))
	b.passes(one.udp(two, 4000, 55), from(one, two))
	b.isDropped(two.tcp(one, 80, 4000, syn), from(two, one)) // No connection the way of answers.
	b.isDropped(two.tcp(one, 4000, 80, syn), from(two, one))
	b.isDropped(one.tcp(two, 4000, 81, syn), from(one, two))
	b.isDropped(one.udp(two, 4000, 53), from(one, two))
	b.isDropped(one.udp(two, 4000, 54), from(one, two))
	b.hasNoConntrack()
}
