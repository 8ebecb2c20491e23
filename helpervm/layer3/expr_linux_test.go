package layer3

import (
	"net"
	"net/netip"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/arca-engine/arca/helpervm/plan"
)

func TestMerge(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"10.2.0.0/16", "10.0.0.0/16"}, []string{"10.0.0.0/16", "10.2.0.0/16"}},
		{[]string{"10.0.0.0/8", "10.9.9.9/32", "10.0.0.0/16", "11.0.0.0/8"}, []string{"10.0.0.0/8", "11.0.0.0/8"}},
		{[]string{"fd00::1/128", "fd00::/64", "fd00::1/128"}, []string{"fd00::/64"}},
	} {
		var in, want []netip.Prefix
		for _, s := range c.in {
			in = append(in, netip.MustParsePrefix(s))
		}
		for _, s := range c.want {
			want = append(want, netip.MustParsePrefix(s))
		}
		if got := merge(in); !reflect.DeepEqual(got, want) {
			t.Errorf("merge(%v) = %v", in, got)
		}
	}
}

func TestAfter(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.0/8": "11.0.0.0", "10.0.0.1/32": "10.0.0.2", "255.0.0.0/8": "invalid IP", "fd00::/64": "fd00:0:0:1::", "0.0.0.0/0": "invalid IP",
	} {
		if got := after(netip.MustParsePrefix(in)); got.String() != want {
			t.Errorf("after(%s) = %s", in, got)
		}
	}
}

// TestVLAN: a gateway on a trunk is an interface of its own. This is all that can be tried without a kernel that has VLANs.
func TestVLAN(t *testing.T) {
	g := plan.Gateway{Link: "gw", Tag: 17, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	v := vlan("gabc", g, 4)
	if v.Name != "gabc" || v.ParentIndex != 4 || v.VlanId != 17 || v.VlanProtocol != netlink.VLAN_PROTOCOL_8021Q || v.HardwareAddr.String() != g.MAC.String() {
		t.Errorf("got %+v", v)
	}
}

func TestPolicyPhrases(t *testing.T) {
	for _, c := range []struct {
		rule plan.Rule
		want int
	}{
		{plan.Rule{}, 1}, {plan.Rule{Protocol: "icmp"}, 1}, {plan.Rule{Protocol: "tcp"}, 1}, {plan.Rule{PortFirst: 1, PortLast: 2}, 2},
	} {
		if got := policy(c.rule, true); len(got) != c.want {
			t.Errorf("%+v makes %d rules", c.rule, len(got))
		}
	}
}
