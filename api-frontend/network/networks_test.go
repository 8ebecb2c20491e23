package network

import (
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

func cidr(text string) netip.Prefix { return netip.MustParsePrefix(text) }
func addr(text string) netip.Addr   { return netip.MustParseAddr(text) }

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func config(subnet string) *network.IPAM {
	return &network.IPAM{Config: []network.IPAMConfig{{Subnet: cidr(subnet)}}}
}

func TestPredefinedNetworks(t *testing.T) {
	w := newWorld()
	w.reserved = []netip.Prefix{cidr("172.17.4.0/24")}
	path := filepath.Join(t.TempDir(), "state.db")
	s := reopen(t, w, Settings{}, path)
	bridge := s.network(s.ID("bridge"))
	if got := bridge.Pools[0].Subnet.String(); got != "172.18.0.0/16" {
		t.Errorf("the default subnet is the first that the host's routes leave: %s", got)
	}
	if bridge.Resolves() || bridge.MTU != 0 || !bridge.Masquerade || bridge.Gateway == nil {
		t.Errorf("%+v", bridge)
	}
	ids := s.ID("bridge") + s.ID("host") + s.ID("none")
	s.Close()
	if err := s.cfg.Store.Close(); err != nil {
		t.Fatal(err)
	}
	w.reserved = nil
	again := reopen(t, w, Settings{}, path)
	if got := again.network(again.ID("bridge")); got.Pools[0].Subnet != bridge.Pools[0].Subnet || got.Generation != bridge.Generation || string(got.Gateway.MAC) != string(bridge.Gateway.MAC) {
		t.Errorf("the default network changed without a reason: %+v, was %+v", got, bridge)
	}
	if again.ID("bridge")+again.ID("host")+again.ID("none") != ids || again.ID("no-such") != "" {
		t.Error("the IDs of predefined networks follow from the engine's")
	}
	again.Close()
	_ = again.cfg.Store.Close()
	other := reopen(t, w, Settings{Bridge: Bridge{Address: cidr("10.9.0.1/24"), Range: cidr("10.9.0.128/25"), IPv6: true, Isolated: true, MTU: 1400, Binding: addr("127.0.0.1")}}, path)
	n := other.network(other.ID("bridge"))
	if n.Generation <= bridge.Generation || !n.Isolated || n.MTU != 1400 || len(n.Binding) != 1 || n.Gateway.OVSTag != bridge.Gateway.OVSTag {
		t.Errorf("%+v", n)
	}
	ep := start(t, other, w.add("a", "bridge", nil)).Endpoints[0]
	if got := n.Pools[0].Gateway.String() + " " + ep.IPv4.String(); got != "10.9.0.1 10.9.0.128/24" || n.Pools[1].Subnet.Bits() != 64 || !ep.IPv6.IsValid() {
		t.Errorf("%s, %v, %v", got, n.Pools[1], ep.IPv6)
	}
}

func TestCreateRefusals(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "taken", IPAM: config("10.1.0.0/16"), Options: map[string]string{optionBridgeName: "br0"}})
	create(t, s, network.CreateRequest{Name: "template", ConfigOnly: true})
	option := func(key, value string) network.CreateRequest {
		return network.CreateRequest{Name: "x", Options: map[string]string{key: value}}
	}
	ipamOf := func(c ...network.IPAMConfig) network.CreateRequest {
		return network.CreateRequest{Name: "x", IPAM: &network.IPAM{Config: c}}
	}
	ref := func(name string) *network.ConfigReference { return &network.ConfigReference{Network: name} }
	for _, tc := range []struct {
		req   network.CreateRequest
		class error
		text  string
	}{
		{network.CreateRequest{Name: "host"}, errdefs.ErrPermissionDenied, "operation is not permitted on predefined host network "},
		{network.CreateRequest{Name: "default"}, errdefs.ErrPermissionDenied, "operation is not permitted on predefined default network "},
		{network.CreateRequest{Name: " "}, errdefs.ErrInvalidArgument, "invalid name: name is empty"},
		{network.CreateRequest{Name: "taken"}, errdefs.ErrConflict, "network with name taken already exists"},
		{network.CreateRequest{Name: "x", Driver: "macvlan"}, errdefs.ErrNotFound, `plugin "macvlan" not found`},
		{network.CreateRequest{Name: "x", Driver: "host"}, errdefs.ErrPermissionDenied, `only one instance of "host" network is allowed`},
		{network.CreateRequest{Name: "x", Driver: "overlay"}, errdefs.ErrPermissionDenied,
			`This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`},
		{network.CreateRequest{Name: "x", Scope: "swarm"}, errdefs.ErrPermissionDenied, "cannot create a swarm scoped network when swarm is not active"},
		{network.CreateRequest{Name: "x", Ingress: true}, errdefs.ErrPermissionDenied, "Ingress network can only be global scope network"},
		{network.CreateRequest{Name: "x", EnableIPv4: no()}, errdefs.ErrInvalidArgument, "IPv4 or IPv6 must be enabled"},
		{network.CreateRequest{Name: "x", IPAM: &network.IPAM{Driver: "mine"}}, errdefs.ErrNotFound, `plugin "mine" not found`},
		{network.CreateRequest{Name: "x", ConfigOnly: true, Internal: true}, errdefs.ErrPermissionDenied,
			"configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported."},
		{network.CreateRequest{Name: "x", ConfigOnly: true, ConfigFrom: ref("template")}, errdefs.ErrPermissionDenied,
			"a configuration network cannot depend on another configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: ref("none")}, errdefs.ErrNotFound, `configuration network "none" does not exist`},
		{network.CreateRequest{Name: "x", ConfigFrom: ref("template"), EnableIPv6: yes()}, errdefs.ErrPermissionDenied,
			"user specified configurations are not supported if the network depends on a configuration network"},
		{network.CreateRequest{Name: "x", ConfigFrom: ref("template"), Options: map[string]string{"a": "b"}}, errdefs.ErrPermissionDenied,
			"network driver options are not supported if the network depends on a configuration network"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.1.2.0/24")}), errdefs.ErrPermissionDenied, "invalid pool request: Pool overlaps with other one on this address space"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("192.168.127.0/24")}), errdefs.ErrPermissionDenied, "invalid pool request: Pool overlaps with other one on this address space"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.2.0.0/16")}, network.IPAMConfig{Subnet: cidr("10.3.0.0/16")}), errdefs.ErrPermissionDenied,
			"bridge driver doesn't support multiple subnets"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.2.0.1/16")}), errdefs.ErrInvalidArgument, "invalid network config:\ninvalid subnet 10.2.0.1/16: it should be 10.2.0.0/16"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.2.0.0/16"), Gateway: addr("10.3.0.1"), IPRange: cidr("10.0.0.0/8"), AuxAddress: map[string]netip.Addr{"a": addr("fd00::1")}}),
			errdefs.ErrInvalidArgument, "invalid network config:\n" +
				"invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.2.0.0/16\n" +
				"invalid gateway 10.3.0.1: parent subnet 10.2.0.0/16 doesn't contain this address\n" +
				"invalid auxiliary address a: parent subnet is an IPv4 block"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.2.0.0/16"), Gateway: addr("10.2.0.1"), AuxAddress: map[string]netip.Addr{"a": addr("10.2.0.1")}}),
			errdefs.ErrInternal, "failed to allocate secondary ip address (a:10.2.0.1): Address already in use"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("10.2.0.0/16"), Gateway: addr("10.2.0.0")}), errdefs.ErrInternal, "failed to allocate gateway (10.2.0.0): Address already in use"},
		{ipamOf(network.IPAMConfig{Subnet: cidr("fe80::/64")}), nil, ""}, // IPv6 is off: it is not looked at.
		{option(optionBridgeName, "br0"), errdefs.ErrPermissionDenied, "networks have same bridge name"},
		{option(optionMTU, "big"), errdefs.ErrInvalidArgument, `failed to parse com.docker.network.driver.mtu value: big (strconv.Atoi: parsing "big": invalid syntax)`},
		{option(optionICC, "maybe"), errdefs.ErrInvalidArgument,
			`failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)`},
		{option(optionBinding, "x"), errdefs.ErrInvalidArgument, "failed to parse com.docker.network.bridge.host_binding_ipv4 value: x (nil ip)"},
		{option(optionGateway4, "routed"), errdefs.ErrInvalidArgument,
			"failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: routed (the host has no route to containers: publish ports)"},
		{option(optionGateway4, "up"), errdefs.ErrInvalidArgument, "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: up (unknown gateway mode up)"},
		{option(optionGateway4, "isolated"), errdefs.ErrInvalidArgument,
			"failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: isolated (gateway mode 'isolated' can only be used for an internal network)"},
		{option(optionEnable6, "x"), errdefs.ErrInvalidArgument, `driver-opt "com.docker.network.enable_ipv6" is not a valid bool`},
		{option("com.arca.polity.a", "allow"), errdefs.ErrInvalidArgument, "unknown option com.arca.polity.a"},
		{option("com.arca.policy.a", "perhaps"), errdefs.ErrInvalidArgument, `invalid option com.arca.policy.a: a rule begins with allow or deny, not with "perhaps"`},
	} {
		id, err := s.Create(t.Context(), &tc.req)
		if tc.text == "" {
			if err != nil {
				t.Errorf("%+v: %v", tc.req, err)
			} else if err := s.Remove(t.Context(), id); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, tc.class) || !strings.HasSuffix(err.Error(), tc.text) {
			t.Errorf("%+v:\n%v, want\n%s", tc.req, err, tc.text)
		}
	}
	w.fail["apply"] = errdefs.ErrUnavailable
	if _, err := s.Create(t.Context(), &network.CreateRequest{Name: "x"}); !errdefs.IsUnavailable(err) || s.ID("x") != "" {
		t.Errorf("a network that cannot be made must not stay: %v", err)
	}
}

func TestCreate(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{Options: map[string]map[string]string{"bridge": {optionMTU: "1300"}}, Pools: []ipam.Pool{{Base: cidr("10.4.0.0/16"), Size: 24}}})
	template := create(t, s, network.CreateRequest{Name: "template", ConfigOnly: true, EnableIPv6: yes(), IPAM: config("10.8.0.0/24"), Labels: map[string]string{"l": "1"}})
	if w.networks[template.ID] != nil || driverOf(template) != "null" {
		t.Error("nothing is made of a template")
	}
	for _, tc := range []struct {
		req  network.CreateRequest
		want string // the subnets with their gateways.
		ok   func(n *desired.Network) bool
	}{
		{network.CreateRequest{Name: "a"}, "10.4.1.0/24 10.4.1.1", func(n *desired.Network) bool { return n.MTU == 1300 && n.Options[optionMTU] == "1300" && !n.Internal }},
		{network.CreateRequest{Name: "six", EnableIPv6: yes(), EnableIPv4: no()}, ipam.Unique("engine").Base.Addr().String() + "/64 " + ipam.Unique("engine").Base.Addr().Next().String(),
			func(n *desired.Network) bool { return !n.EnableIPv4 }},
		{network.CreateRequest{Name: "range", IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: cidr("10.5.0.0/16"), IPRange: cidr("10.5.5.0/24")}}}}, "10.5.0.0/16 10.5.5.0", nil},
		{network.CreateRequest{Name: "two", EnableIPv6: yes(), IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: cidr("fd01::/64"), Gateway: addr("fd01::9")}, {Subnet: cidr("10.6.0.0/16")}}}},
			"10.6.0.0/16 10.6.0.1 fd01::/64 fd01::9", nil},
		{network.CreateRequest{Name: "inside", Internal: true, Options: map[string]string{optionGateway4: "isolated", optionICC: "false", optionMasquerade: "0"}}, "10.4.2.0/24 invalid IP",
			func(n *desired.Network) bool { return n.Gateway == nil && n.Isolated && !n.Masquerade && n.Internal }},
		{network.CreateRequest{Name: "copy", ConfigFrom: &network.ConfigReference{Network: "template"}}, "10.8.0.0/24 10.8.0.1 " + strings.Replace(ipam.Unique("engine").Base.Addr().String(), "::", ":1::", 1) + "/64",
			func(n *desired.Network) bool {
				return n.EnableIPv6 && n.Labels["l"] == "1" && n.ConfigFrom == "template"
			}},
		{network.CreateRequest{Name: "policy", Options: map[string]string{"com.arca.policy.b": "deny", "com.arca.policy.a": "allow between tcp from network a port 80"}}, "10.4.3.0/24 10.4.3.1",
			func(n *desired.Network) bool {
				return len(n.Rules) == 2 && n.Rules[0].Name == "a" && n.Rules[0].Sources[0] == cidr("10.4.1.0/24") && n.Inspected()
			}},
	} {
		n := create(t, s, tc.req)
		var got []string
		for _, p := range n.Pools {
			got = append(got, p.Subnet.String(), p.Gateway.String())
		}
		if !strings.HasPrefix(strings.Join(got, " "), tc.want) || tc.ok != nil && !tc.ok(n) {
			t.Errorf("%s: %s, want %s: %+v", tc.req.Name, got, tc.want, n)
		}
		if w.networks[n.ID] != n {
			t.Errorf("%s was not made", n.Name)
		}
		shown, err := s.Inspect(n.ID[:10])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		speccheck.Answer(t, "GET", "/networks/{id}", 200, raw)
	}
	if err := s.Remove(t.Context(), "template"); !errdefs.IsPermissionDenied(err) || err.Error() != `error while removing network: configuration network "template" is in use` {
		t.Error(err)
	}
	if got := take(w, &w.told); strings.Count(got, "network create") != 8 {
		t.Error(got)
	}
}

func TestListFilters(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front", Labels: map[string]string{"tier": "web"}})
	create(t, s, network.CreateRequest{Name: "back"})
	start(t, s, w.add("a", "back", nil))
	for _, tc := range []struct{ filters, want string }{
		{"", "back bridge front host none"},
		{`{"driver":["null"]}`, "none"},
		{`{"driver":["bridge"]}`, "back bridge front"},
		{`{"name":["o"]}`, "front host none"},
		{`{"scope":["swarm"]}`, ""},
		{`{"type":["builtin"]}`, "bridge host none"},
		{`{"type":["custom"]}`, "back front"},
		{`{"type":["custom","builtin"]}`, "back bridge front host none"},
		{`{"dangling":["true"]}`, "front"},
		{`{"dangling":["0"]}`, "back bridge host none"},
		{`{"label":["tier"]}`, "front"},
		{`{"label":["tier=db"]}`, ""},
		{`{"id":["` + s.ID("host") + `"]}`, "host"},
		{`{"type":["nope"]}`, "! invalid filter: 'type'='nope'"},
		{`{"dangling":["x"]}`, `! invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`},
		{`{"nope":["x"]}`, "! invalid filter 'nope'"},
	} {
		f, err := filter.Parse(tc.filters)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List(f)
		var names []string
		for _, n := range list {
			names = append(names, n.Name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "! " + err.Error()
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%s: %v is no invalid argument", tc.filters, err)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.filters, got, tc.want)
		}
		if err != nil {
			continue
		}
		raw, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		speccheck.Answer(t, "GET", "/networks", 200, raw)
	}
}

func TestRemoveAndPrune(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	used := create(t, s, network.CreateRequest{Name: "used"})
	create(t, s, network.CreateRequest{Name: "kept", Labels: map[string]string{"keep": ""}})
	create(t, s, network.CreateRequest{Name: "free"})
	create(t, s, network.CreateRequest{Name: "template", ConfigOnly: true})
	a := start(t, s, w.add("a", "used", nil))
	take(w, &w.told)
	for _, tc := range []struct {
		ref, text string
		class     error
	}{
		{"none", "none is a pre-defined network and cannot be removed", errdefs.ErrPermissionDenied},
		{"mine", "network mine not found", errdefs.ErrNotFound},
		{"used", `error while removing network: network used has active endpoints (name:"a" id:"` + a.Endpoints[0].ID[:12] + `")`, errdefs.ErrPermissionDenied},
	} {
		if err := s.Remove(t.Context(), tc.ref); !errors.Is(err, tc.class) || err.Error() != tc.text {
			t.Errorf("%v, want %q", err, tc.text)
		}
	}
	report, err := s.Prune(t.Context(), filter.Of("label!", "keep", "until", time.Now().Add(time.Hour).Format(time.RFC3339)))
	if got := strings.Join(report.NetworksDeleted, " "); err != nil || got != "free" {
		t.Errorf("%s, %v", got, err)
	}
	if report, err = s.Prune(t.Context(), filter.Of("until", "24h")); err != nil || len(report.NetworksDeleted) != 0 {
		t.Errorf("%v, %v", report, err)
	}
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	speccheck.Answer(t, "POST", "/networks/prune", 200, raw)
	if _, err := s.Prune(t.Context(), filter.Of("name", "x")); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	if err := s.Leave(t.Context(), a.ContainerID); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), used.ID[:8]); err != nil || w.networks[used.ID] != nil {
		t.Error(err)
	}
	if got := take(w, &w.told); got != "network destroy free, network prune 0, network prune 0, network destroy used" {
		t.Error(got)
	}
}
