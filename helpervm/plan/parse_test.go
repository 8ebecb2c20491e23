package plan

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

var (
	idA = strings.Repeat("a", 64)
	idE = strings.Repeat("e", 64)
)

func goodNetwork() *networkv1.Network {
	return &networkv1.Network{
		Id: idA, Subnets: []*networkv1.Subnet{{Cidr: "10.1.0.7/16", Gateway: "10.1.0.1"}, {Cidr: "fd00::/64", Gateway: "fd00::1"}, {Cidr: "10.2.0.0/24"}},
		Gateway: &networkv1.Gateway{Link: "gaaaaaaaaaaaa", Mac: []byte{2, 0, 0, 0, 0, 1}, OvsTag: 7, EndpointId: idE},
		Rules:   []*networkv1.Rule{{Name: "x", Protocol: "tcp", PortFirst: 80, Sources: []string{"10.0.0.9/8"}}},
	}
}

func TestParseNetwork(t *testing.T) {
	n, err := ParseNetwork(goodNetwork())
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Subnets[0].Prefix.String(); got != "10.1.0.0/16" {
		t.Errorf("the subnet is %s", got)
	}
	if got := n.GatewayAddresses(); len(got) != 2 || got[0].String() != "10.1.0.1/16" || got[1].String() != "fd00::1/64" {
		t.Errorf("the gateway's addresses are %v", got)
	}
	if n.Interface() != "gaaaaaaaaaaaa" {
		t.Errorf("the interface is %s", n.Interface())
	}
	n.Gateway.Link, n.Gateway.Tag = "gw", 9
	if n.Interface() != "gaaaaaaaaaaaa" {
		t.Errorf("the VLAN's interface is %s", n.Interface())
	}
	if r := n.Rules[0]; r.PortLast != 80 || r.Sources[0].String() != "10.0.0.0/8" {
		t.Errorf("the rule is %v", r)
	}
}

func TestParseNetworkRefuses(t *testing.T) {
	for name, spoil := range map[string]func(n *networkv1.Network){
		"short id":              func(n *networkv1.Network) { n.Id = "abc" },
		"id in capitals":        func(n *networkv1.Network) { n.Id = strings.Repeat("A", 64) },
		"no cidr":               func(n *networkv1.Network) { n.Subnets[0].Cidr = "" },
		"gateway elsewhere":     func(n *networkv1.Network) { n.Subnets[0].Gateway = "10.9.0.1" },
		"gateway of no address": func(n *networkv1.Network) { n.Subnets[0].Gateway = "x" },
		"mapped address":        func(n *networkv1.Network) { n.Subnets[0].Gateway = "::ffff:10.1.0.1" },
		"multicast mac":         func(n *networkv1.Network) { n.Gateway.Mac = []byte{1, 0, 0, 0, 0, 1} },
		"long mac":              func(n *networkv1.Network) { n.Gateway.Mac = make([]byte, 8) },
		"no tag":                func(n *networkv1.Network) { n.Gateway.OvsTag = 0 },
		"tag 4095":              func(n *networkv1.Network) { n.Gateway.Tag = 4095 },
		"long link":             func(n *networkv1.Network) { n.Gateway.Link = "gaaaaaaaaaaaaaaa" },
		"path as link":          func(n *networkv1.Network) { n.Gateway.Link = "../../x" },
		"small mtu":             func(n *networkv1.Network) { n.Mtu = 1 },
		"direction":             func(n *networkv1.Network) { n.Rules[0].Direction = 9 },
		"protocol":              func(n *networkv1.Network) { n.Rules[0].Protocol = "sctp" },
		"ports of icmp":         func(n *networkv1.Network) { n.Rules[0].Protocol = "icmp" },
		"ports the wrong way":   func(n *networkv1.Network) { n.Rules[0].PortLast = 79 },
		"port too big":          func(n *networkv1.Network) { n.Rules[0].PortFirst = 70000 },
		"source":                func(n *networkv1.Network) { n.Rules[0].Sources = []string{"10.0.0.1 || 1"} },
		"empty source":          func(n *networkv1.Network) { n.Rules[0].Sources = []string{""} },
		"too many subnets":      func(n *networkv1.Network) { n.Subnets = make([]*networkv1.Subnet, maxSubnets+1) },
		"too many rules":        func(n *networkv1.Network) { n.Rules = make([]*networkv1.Rule, maxRules+1) },
	} {
		t.Run(name, func(t *testing.T) {
			n := goodNetwork()
			spoil(n)
			if _, err := ParseNetwork(n); !errdefs.IsInvalidArgument(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseState(t *testing.T) {
	s := &networkv1.State{
		Uplink: &networkv1.Uplink{Link: "up", Address: "192.168.1.2/24", NextHop: "192.168.1.1", DnsAddress: "192.168.1.3"}, OvsLink: "ovs",
		Networks:  []*networkv1.Network{goodNetwork()},
		Endpoints: []*networkv1.Endpoint{{Id: idE, NetworkId: idA, Mac: []byte{2, 0, 0, 0, 0, 2}, OvsTag: 3, Addresses: []string{"10.1.0.2"}}},
	}
	if _, err := ParseState(s); err != nil {
		t.Fatal(err)
	}
	s.Endpoints[0].NetworkId = idE
	if _, err := ParseState(s); !errdefs.IsNotFound(err) {
		t.Errorf("an endpoint of no network: %v", err)
	}
	s.Endpoints = nil
	s.Uplink.Address = "fd00::1/64"
	if _, err := ParseState(s); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an uplink of the wrong family: %v", err)
	}
}

func TestFamilies(t *testing.T) {
	for _, c := range []struct {
		sources, destinations []string
		v4, v6                bool
	}{
		{nil, nil, true, true},
		{[]string{"10.0.0.0/8"}, nil, true, false},
		{nil, []string{"fd00::/8"}, false, true},
		{[]string{"10.0.0.0/8", "fd00::/8"}, []string{"fd00::/8"}, false, true},
		{[]string{"10.0.0.0/8"}, []string{"fd00::/8"}, false, false},
	} {
		r, err := parseRule(&networkv1.Rule{Sources: c.sources, Destinations: c.destinations})
		if err != nil {
			t.Fatal(err)
		}
		if v4, v6 := r.Families(); v4 != c.v4 || v6 != c.v6 {
			t.Errorf("%v to %v: %t, %t", c.sources, c.destinations, v4, v6)
		}
	}
}

// FuzzParseState: what is taken is safe as a name and bounded, whatever is sent.
func FuzzParseState(f *testing.F) {
	seed, err := proto.Marshal(&networkv1.State{Networks: []*networkv1.Network{goodNetwork()}, OvsLink: "ovs"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &networkv1.State{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		s, err := ParseState(m)
		if err != nil {
			return
		}
		for id, n := range s.Networks {
			if len(id) != 64 || len(n.Interface()) > 15 || strings.ContainsAny(n.Interface(), "/\" ") {
				t.Errorf("network %q has the interface %q", id, n.Interface())
			}
			for _, r := range n.Rules {
				if r.PortFirst > r.PortLast {
					t.Errorf("rule %v", r)
				}
			}
		}
	})
}
