package policy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

func subnets(name string) ([]netip.Prefix, bool) {
	switch name {
	case "front":
		return []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd01::/64")}, true
	case "empty":
		return nil, true
	}
	return nil, false
}

func TestParse(t *testing.T) {
	got, err := Parse(map[string]string{
		"com.arca.policy.20-b": "deny",
		"com.arca.policy.10-a": "allow between tcp from network front to 10.2.0.9 port 80-90",
		"com.arca.policy.30":   " allow  out udp to any port 53 ",
		"com.arca.policy.40":   "deny in from 192.0.2.0/24",
		"com.arca.any_source":  "true",
		"com.docker.network":   "x",
	}, subnets)
	if err != nil {
		t.Fatal(err)
	}
	want := []desired.Rule{
		{Name: "10-a", Allow: true, Direction: "between", Protocol: "tcp", Sources: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd01::/64")},
			Destinations: []netip.Prefix{netip.MustParsePrefix("10.2.0.9/32")}, PortFirst: 80, PortLast: 90},
		{Name: "20-b"},
		{Name: "30", Allow: true, Direction: "out", Protocol: "udp", PortFirst: 53, PortLast: 53},
		{Name: "40", Direction: "in", Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    `a rule begins with allow or deny, not with ""`,
		"Allow":                               `a rule begins with allow or deny, not with "Allow"`,
		"allow sideways":                      `"sideways" is not understood here`,
		"allow tcp out":                       `"out" is not understood here`,
		"allow from":                          "an address, a CIDR, any, or a network is missing",
		"allow from host":                     `"host" is no address and no CIDR`,
		"allow from 10.0.0.1/8":               "10.0.0.1/8 should be 10.0.0.0/8",
		"allow from fe80::1%eth0":             `"fe80::1%eth0" is no address and no CIDR`,
		"allow from network back":             "network back not found",
		"allow to network empty":              "network empty has no subnet",
		"allow port 80":                       "a port needs tcp or udp before it",
		"allow icmp port 80":                  "a port needs tcp or udp before it",
		"allow tcp port":                      `"" is no port and no range of ports`,
		"allow tcp port 0":                    `"0" is no port and no range of ports`,
		"allow tcp port 9-8":                  `"9-8" is no port and no range of ports`,
		"allow tcp port 65536":                `"65536" is no port and no range of ports`,
		"allow tcp port 1 port 2":             `"port" is not understood here`,
		"allow to 10.0.0.1 from 10.0.0.2":     `"from" is not understood here`,
		"allow from ::ffff:10.0.0.0/104 port": `"::ffff:10.0.0.0/104" is no address and no CIDR`,
	} {
		_, err := Parse(map[string]string{"com.arca.policy.x": text}, subnets)
		if !errdefs.IsInvalidArgument(err) || err.Error() != "invalid option com.arca.policy.x: "+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for _, name := range []string{"", "a b", strings.Repeat("x", 65)} {
		if _, err := Parse(map[string]string{Prefix + name: "allow"}, subnets); !errdefs.IsInvalidArgument(err) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	many := map[string]string{}
	for i := range 257 {
		many[Prefix+strings.Repeat("x", i/16+1)+string(rune('a'+i%16))] = "allow"
	}
	if _, err := Parse(many, subnets); !errdefs.IsInvalidArgument(err) {
		t.Errorf("257 rules: %v", err)
	}
}

// What is understood is sound: masked prefixes, ports with a protocol.
func FuzzParse(f *testing.F) {
	f.Add("allow between tcp from network front to 10.2.0.9 port 80-90")
	f.Add("deny out udp to any port 53")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse(map[string]string{Prefix + "x": text}, subnets)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Fatal(err)
			}
			return
		}
		r := rules[0]
		if r.PortFirst > r.PortLast || r.PortFirst > 0 && r.Protocol != "tcp" && r.Protocol != "udp" {
			t.Fatalf("%+v", r)
		}
		for _, p := range append(r.Sources, r.Destinations...) {
			if p != p.Masked() {
				t.Fatalf("%+v", r)
			}
		}
	})
}
