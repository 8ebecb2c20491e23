package ovn

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/arca-engine/arca/helpervm/plan"
)

func TestRows(t *testing.T) {
	gateway := plan.ID(strings.Repeat("c", 64))
	n := plan.Network{
		ID: plan.ID(strings.Repeat("a", 64)), Isolated: true,
		Subnets: []plan.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}, {Prefix: netip.MustParsePrefix("fd00::/64"), Gateway: netip.MustParseAddr("fd00::1")}},
		Gateway: &plan.Gateway{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, OVSTag: 9, EndpointID: gateway},
		Rules:   []plan.Rule{{Direction: plan.Out}, {Direction: plan.Between, Protocol: "icmp", Sources: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}}},
	}
	endpoints := []plan.Endpoint{
		{ID: "e1", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd00::2")}, OVSTag: 1},
		{ID: "e2", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 3}, Addresses: []netip.Addr{netip.MustParseAddr("10.1.0.3")}, OVSTag: 2, AnySource: true},
	}
	want := switchRows{
		ports: map[string]portRow{
			string(gateway): {"02:00:00:00:00:01 10.1.0.1 fd00::1", "02:00:00:00:00:01", 9},
			"e1":            {"02:00:00:00:00:02 10.1.0.2 fd00::2", "02:00:00:00:00:02 10.1.0.2/16 fd00::2", 1},
			"e2":            {"02:00:00:00:00:03 10.1.0.3", "02:00:00:00:00:03", 2},
		},
		acls: []aclRow{
			{29999, "ip4 && ip4.src == {10.1.2.0/24} && icmp4", "drop"},
			{1000, "1", "drop"},
			{31000, "eth.src == 02:00:00:00:00:01 || outport == \"" + string(gateway) + "\"", "allow-stateless"},
		},
	}
	if got := rowsOf(n, endpoints); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	n.Isolated, n.Rules = false, n.Rules[:1]
	if got := rowsOf(n, nil); len(got.acls) != 0 {
		t.Errorf("a network without rules between endpoints has ACLs: %v", got.acls)
	}
}

func TestMatches(t *testing.T) {
	prefixes := func(list ...string) (p []netip.Prefix) {
		for _, s := range list {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	for name, c := range map[string]struct {
		rule plan.Rule
		want []string
	}{
		"deny all":  {plan.Rule{}, []string{"ip4", "ip6"}},
		"allow all": {plan.Rule{Allow: true}, []string{"ip4", "ip6"}},
		"deny a port": {plan.Rule{Protocol: "udp", PortFirst: 53, PortLast: 53, Destinations: prefixes("10.0.0.0/8", "10.9.0.0/16")},
			[]string{"ip4 && ip4.dst == {10.0.0.0/8, 10.9.0.0/16} && udp.dst == 53"}},
		"allow a port": {plan.Rule{Allow: true, Protocol: "tcp", PortFirst: 80, PortLast: 90, Sources: prefixes("fd00::/64")},
			[]string{"ip6 && ip6.src == {fd00::/64} && 80 <= tcp.dst <= 90", "ip6 && ip6.dst == {fd00::/64} && 80 <= tcp.src <= 90 && tcp.flags == 0x10/0x10"}},
		"a port of no protocol": {plan.Rule{PortFirst: 1, PortLast: 1, Sources: prefixes("10.0.0.0/8")},
			[]string{"ip4 && ip4.src == {10.0.0.0/8} && tcp.dst == 1", "ip4 && ip4.src == {10.0.0.0/8} && udp.dst == 1"}},
		"nothing": {plan.Rule{Sources: prefixes("10.0.0.0/8"), Destinations: prefixes("fd00::/64")}, nil},
	} {
		if got := matches(c.rule); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
