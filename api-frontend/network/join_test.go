package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

type settings = map[string]*network.EndpointSettings

func TestTwoContainersOfANetwork(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	n := create(t, s, network.CreateRequest{Name: "front"})
	if got := n.Pools[0].Subnet.String() + " " + n.Pools[0].Gateway.String(); got != "172.18.0.0/16 172.18.0.1" {
		t.Errorf("subnet and gateway: %s", got)
	}
	a := start(t, s, w.add("a", "front", nil))
	b := start(t, s, w.add("b", "front", nil))
	if got := a.Endpoints[0].IPv4.String() + " " + b.Endpoints[0].IPv4.String(); got != "172.18.0.2/16 172.18.0.3/16" {
		t.Errorf("addresses: %s", got)
	}
	if ep := a.Endpoints[0]; !a.Resolver || a.NoForward || len(a.Upstreams) != 1 || !ep.Default4 || ep.Default6 || ep.Interface != "eth0" ||
		ep.Link != "e"+ep.ID[:11] || ep.Tag != 0 || ep.MAC[0]&3 != 2 {
		t.Errorf("%+v: %+v", a, ep)
	}
	if got := s.State(); len(got.Endpoints) != 2 || len(got.Networks) != 2 {
		t.Errorf("%+v", got)
	}
	if err := s.Leave(t.Context(), a.ContainerID); err != nil {
		t.Fatal(err)
	}
	if s.Membership(a.ContainerID) != nil || len(w.granted) != 1 {
		t.Errorf("a is still there: %v", w.granted)
	}
	if c := start(t, s, w.add("c", "front", nil)); c.Endpoints[0].IPv4.String() != "172.18.0.2/16" {
		t.Errorf("the lowest free address is the next: %v", c.Endpoints[0].IPv4)
	}
	if err := s.Forget(t.Context(), "nobody"); err != nil {
		t.Errorf("to leave twice is no error: %v", err)
	}
}

func TestWhereEndpointsGo(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "beta", EnableIPv6: yes()})
	create(t, s, network.CreateRequest{Name: "alpha"})
	create(t, s, network.CreateRequest{Name: "cellar", Internal: true})
	create(t, s, network.CreateRequest{Name: "own", Options: map[string]string{optionPrefix: "net", optionAnySource: "true"}})
	for _, tc := range []struct {
		name, mode string
		networks   settings
		edit       func(*record.Container)
		want       string // interface@network in order, with 4 and 6 for default routes.
	}{
		{"one", "alpha", nil, nil, "eth0@alpha 4"},
		{"mode-first", "cellar", settings{"alpha": {}, "cellar": {}}, nil, "eth0@cellar, eth1@alpha 4"},
		{"dual-stack-leads", "alpha", settings{"alpha": {}, "beta": {}}, nil, "eth0@alpha, eth1@beta 46"},
		{"priority", "alpha", settings{"alpha": {GwPriority: 1}, "beta": {}}, nil, "eth0@alpha, eth1@beta 46"}, // As in dockerd.
		{"priority-of-equals", "alpha", settings{"alpha": {}, "own": {GwPriority: 1}}, nil, "eth0@alpha, net0@own 4"},
		{"inside", "cellar", nil, nil, "eth0@cellar"},
		{"named", "own", settings{"own": {}, "alpha": {DriverOpts: map[string]string{optionInterface: "lan"}}}, nil, "net0@own, lan@alpha 4"},
		{"no-six", "beta", nil, func(r *record.Container) {
			r.HostConfig.Sysctls = map[string]string{"net.ipv6.conf.all.disable_ipv6": "1"}
		}, "eth0@beta 4"},
		{"none", "none", nil, nil, ""},
		{"host", "host", nil, nil, ""},
		{"by-id", "alpha", settings{s.ID("alpha"): {}}, nil, "eth0@alpha 4"},
		{"nothing-said", "default", settings{}, nil, "eth0@bridge 4"},
	} {
		rec := w.add(tc.name, tc.mode, tc.networks)
		if tc.edit != nil {
			tc.edit(rec)
		}
		var got []string
		for _, ep := range start(t, s, rec).Endpoints {
			text := ep.Interface + "@" + s.network(ep.NetworkID).Name
			if ep.Default4 || ep.Default6 {
				text += " "
			}
			if ep.Default4 {
				text += "4"
			}
			if ep.Default6 {
				text += "6"
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if tc.name == "inside" && !s.Membership(rec.ID).NoForward {
			t.Error("an internal network forwards no names")
		}
		if ep := s.run(rec.ID).Endpoints[0]; ep.AnySource != (tc.mode == "own") {
			t.Errorf("%s: %+v", tc.name, ep)
		}
	}
	for _, rec := range []*record.Container{w.add("joins", "container:x", settings{}), w.add("off", "bridge", nil)} {
		rec.Config.NetworkDisabled = rec.Name == "off"
		if m, err := s.Join(t.Context(), rec); m != nil || err != nil {
			t.Errorf("%s: %+v, %v", rec.Name, m, err)
		}
	}
}

func TestTrunks(t *testing.T) {
	w := newWorld()
	w.trunk = true
	s := open(t, w, Settings{})
	n := create(t, s, network.CreateRequest{Name: "front"})
	ep := start(t, s, w.add("a", "front", nil)).Endpoints[0]
	if n.Gateway.Link != desired.GatewayTrunk || n.Gateway.Tag != n.Gateway.OVSTag || ep.Link != desired.Trunk || ep.Tag != ep.OVSTag || ep.Tag == n.Gateway.Tag {
		t.Errorf("%+v, %+v", n.Gateway, ep)
	}
}

func TestStartRefusals(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "given", IPAM: config("10.1.0.0/29")})
	create(t, s, network.CreateRequest{Name: "template", ConfigOnly: true})
	mac := network.HardwareAddr{2, 0, 0, 0, 0, 1}
	fixed := func(ip string) *network.EndpointSettings {
		return &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr(ip)}}
	}
	start(t, s, w.add("first", "given", settings{"given": {IPAMConfig: fixed("10.1.0.3").IPAMConfig, MacAddress: mac}}))
	for _, tc := range []struct {
		name, mode string
		networks   settings
		class      error
		text       string
	}{
		{"a", "mine", nil, errdefs.ErrNotFound, "network mine not found"},
		{"b", "template", nil, errdefs.ErrPermissionDenied, "cannot create endpoint on configuration-only network"},
		{"c", "given", settings{"given": fixed("10.1.0.3")}, errdefs.ErrPermissionDenied, "Address already in use"},
		{"d", "given", settings{"given": fixed("10.1.0.1")}, errdefs.ErrPermissionDenied, "Address already in use"},
		{"e", "given", settings{"given": fixed("10.2.0.1")}, errdefs.ErrInvalidArgument, "invalid address 10.2.0.1: It does not belong to any of this network's subnets"},
		{"f", "given", settings{"given": {MacAddress: mac}}, errdefs.ErrConflict, "MAC address 02:00:00:00:00:01 is already in use in network given"},
		{"g", "bridge", settings{"bridge": {}, "host": {}}, errdefs.ErrInvalidArgument, "container sharing network namespace with another container or host cannot be connected to any other network"},
		{"h", "none", settings{"none": {}, "given": {}}, errdefs.ErrInvalidArgument, "container cannot be connected to multiple networks with one of the networks in private (none) mode"},
		{"i", "given", settings{"given": {}, s.ID("given"): {}}, errdefs.ErrPermissionDenied, "endpoint with name i already exists in network given"},
	} {
		_, err := s.Join(t.Context(), w.add(tc.name, tc.mode, tc.networks))
		if want := "failed to set up container networking: " + tc.text; !errors.Is(err, tc.class) || err.Error() != want {
			t.Errorf("%s: %v, want %s", tc.name, err, want)
		}
		if s.run(hash(tc.name)) != nil {
			t.Errorf("%s has a run", tc.name)
		}
	}
	for i := range 4 { // The subnet has six addresses: one is the gateway's, one the first container's.
		start(t, s, w.add(fmt.Sprintf("x%d", i), "given", nil))
	}
	_, err := s.Join(t.Context(), w.add("full", "given", nil))
	if want := "failed to set up container networking: no available IPv4 addresses on this network's address pools: given (" + s.ID("given") + ")"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// What neighbours remember of an address stays true when another container gets it.
func TestMACAddresses(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	n := create(t, s, network.CreateRequest{Name: "front", IPAM: config("10.1.0.0/24")})
	create(t, s, network.CreateRequest{Name: "six", EnableIPv4: no(), EnableIPv6: yes()})
	for _, tc := range []struct {
		name, mode string
		networks   settings
		want       string
	}{
		{"first", "front", nil, "02:42:0a:01:00:02"},
		{"thief", "front", settings{"front": {MacAddress: network.HardwareAddr{2, 0x42, 10, 1, 0, 4}}}, "02:42:0a:01:00:04"},
		{"robbed", "front", nil, ""},
		{"six", "six", nil, "02:42:00:00:00:02"},
	} {
		got := network.HardwareAddr(start(t, s, w.add(tc.name, tc.mode, tc.networks)).Endpoints[0].MAC)
		if tc.want != "" && got.String() != tc.want || got.String() == "02:42:0a:01:00:04" != (tc.name == "thief") || got[0]&3 != 2 {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	if got := network.HardwareAddr(n.Gateway.MAC).String(); got != "02:42:0a:01:00:01" {
		t.Error(got)
	}
}

func TestNoTagIsLeft(t *testing.T) {
	u := &usage{tags: map[uint16]bool{}, next: 1}
	for i := 1; i <= maxTag; i++ {
		if tag, err := u.tag(); err != nil || int(tag) != i {
			t.Fatalf("%d, %v", tag, err)
		}
	}
	if _, err := u.tag(); !errdefs.IsUnavailable(err) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "given", IPAM: config("10.1.0.0/16")})
	create(t, s, network.CreateRequest{Name: "chosen"})
	static := &network.EndpointIPAMConfig{IPv4Address: addr("10.1.0.3")}
	for _, tc := range []struct {
		networks settings
		want     string
	}{
		{settings{"given": {IPAMConfig: static, Aliases: []string{"a"}, DriverOpts: map[string]string{optionSysctls: "net.ipv4.conf.ifname.forwarding=1", optionInterface: "wan0"}}}, ""},
		{settings{"not-made-yet": {IPAMConfig: static, Aliases: []string{"a"}}}, ""},
		{settings{"chosen": {IPAMConfig: static}}, "invalid config for network chosen: invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets"},
		{settings{"given": {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr("10.2.0.1"), IPv6Address: addr("10.1.0.1"), LinkLocalIPs: []netip.Addr{addr("10.0.0.1")}}}},
			"invalid config for network given: invalid endpoint settings:\ninvalid IPv6 address: 10.1.0.1\ninvalid link-local IP address: 10.0.0.1\n" +
				"no configured subnet or ip-range contain the IP address 10.2.0.1"},
		{settings{"bridge": {IPAMConfig: static, Aliases: []string{"a"}}}, "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only\n" +
			"network-scoped alias is supported only for containers in user defined networks"},
		{settings{"given": {MacAddress: network.HardwareAddr{1, 2, 3, 4, 5, 6}}}, "invalid config for network given: invalid MAC address 01:02:03:04:05:06"},
		{settings{"given": {DriverOpts: map[string]string{optionSysctls: "net.ipv4.ip_forward=1", optionInterface: "lo"}}},
			"invalid config for network given: invalid endpoint settings:\nunrecognised network interface sysctl 'net.ipv4.ip_forward=1'; represent 'net.X.Y.ethN.Z=V' as " +
				"'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'\ninvalid interface name: \"lo\""},
	} {
		err := s.Check(w.add("c", "given", tc.networks))
		switch {
		case tc.want == "":
			if err != nil {
				t.Errorf("%v", err)
			}
		case !errdefs.IsInvalidArgument(err) || err.Error() != tc.want:
			t.Errorf("%v, want\n%s", err, tc.want)
		}
	}
	rec := w.add("s", "given", nil)
	rec.HostConfig.PortBindings = network.PortMap{network.MustParsePort("80/sctp"): {{}}}
	if err := s.Check(rec); !errdefs.IsInvalidArgument(err) || err.Error() != "cannot publish port 80/sctp: only tcp and udp ports can be published" {
		t.Error(err)
	}
}

func publishing(w *world, name, mode string, ports network.PortMap) *record.Container {
	rec := w.add(name, mode, nil)
	rec.HostConfig.PortBindings = ports
	rec.Config.ExposedPorts = network.PortSet{}
	for p := range ports {
		rec.Config.ExposedPorts[p] = struct{}{}
	}
	return rec
}

func at(ip, port string) network.PortBinding {
	b := network.PortBinding{HostPort: port}
	if ip != "" {
		b.HostIP = addr(ip)
	}
	return b
}

func TestPorts(t *testing.T) {
	tcp80, udp53, tcp9 := network.MustParsePort("80/tcp"), network.MustParsePort("53/udp"), network.MustParsePort("9/tcp")
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	create(t, s, network.CreateRequest{Name: "local", Options: map[string]string{optionBinding: "127.0.0.1"}})
	create(t, s, network.CreateRequest{Name: "cellar", Internal: true})
	for _, tc := range []struct {
		name, mode string
		ports      network.PortMap
		all        bool
		want       string
	}{
		{"exact", "front", network.PortMap{tcp80: {at("", "8080")}}, false, "80/tcp 0.0.0.0:8080 [::]:8080"},
		{"any", "front", network.PortMap{tcp80: {{}}, udp53: nil}, false, "53/udp 0.0.0.0:32768 [::]:32768, 80/tcp 0.0.0.0:32768 [::]:32768"},
		{"range", "front", network.PortMap{tcp80: {at("", "8079-8082")}}, false, "80/tcp 0.0.0.0:8079 [::]:8079"},
		{"range-again", "front", network.PortMap{tcp80: {at("", "8079-8082")}}, false, "80/tcp 0.0.0.0:8081 [::]:8081"},
		{"hosts", "front", network.PortMap{tcp80: {at("127.0.0.1", "90"), at("::1", "90"), at("127.0.0.1", "90")}}, false, "80/tcp 127.0.0.1:90 [::1]:90"},
		{"several", "front", network.PortMap{tcp80: {at("", "91"), at("", "92")}}, false, "80/tcp 0.0.0.0:91 [::]:91 0.0.0.0:92 [::]:92"},
		{"binding", "local", network.PortMap{tcp80: {at("", "93")}}, false, "80/tcp 127.0.0.1:93"},
		{"all", "local", network.PortMap{tcp80: {at("", "94")}, tcp9: nil}, true, "80/tcp 127.0.0.1:94, 9/tcp 127.0.0.1:32769"},
		{"inside", "cellar", network.PortMap{tcp80: {at("", "95")}}, false, "80/tcp"},
	} {
		rec := publishing(w, tc.name, tc.mode, tc.ports)
		if tc.all {
			delete(rec.HostConfig.PortBindings, tcp9)
			rec.HostConfig.PublishAllPorts = true
		}
		start(t, s, rec)
		if got := shown(s.Ports(rec)); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if err := s.Leave(t.Context(), hash("exact")); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(slices.Collect(mapValues(w.open)), func(p desired.Port) bool { return p.HostPort == 8080 }) {
		t.Error("the port of a container that left is open")
	}
}

func mapValues(m map[string]desired.Port) func(func(desired.Port) bool) {
	return func(yield func(desired.Port) bool) {
		for _, p := range m {
			if !yield(p) {
				return
			}
		}
	}
}

func shown(m network.PortMap) string {
	var out []string
	for port, bindings := range m {
		text := port.String()
		for _, b := range bindings {
			text += " " + netip.AddrPortFrom(b.HostIP, network.MustParsePort(b.HostPort).Num()).String()
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestPortsThatCannotBeOpened(t *testing.T) {
	tcp80 := network.MustParsePort("80/tcp")
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	start(t, s, publishing(w, "first", "front", network.PortMap{tcp80: {at("", "8080")}}))
	for _, tc := range []struct {
		port string
		fail error
		want string
	}{
		{"8080", nil, "Bind for 0.0.0.0:8080 failed: port is already allocated"},
		{"8081", errdefs.ErrFailedPrecondition.WithMessage("listen tcp 0.0.0.0:8081: bind: address already in use"),
			"failed to bind host port for 0.0.0.0:8081:172.18.0.3:80/tcp: address already in use"},
		{"8081", errdefs.ErrFailedPrecondition.WithMessage("listen tcp [::]:8081: bind: address already in use"),
			"failed to bind host port for [::]:8081:172.18.0.3:80/tcp: address already in use"},
		{"81", errdefs.ErrPermissionDenied.WithMessage("listen tcp 0.0.0.0:81: bind: permission denied"),
			"failed to bind host port for 0.0.0.0:81:172.18.0.3:80/tcp: permission denied"},
		{"90-91", errdefs.ErrResourceExhausted.WithMessage("no free port"), "all ports are allocated"},
		{"90-91", errdefs.ErrFailedPrecondition.WithMessage("listen tcp 0.0.0.0:91: bind: address already in use"),
			"failed to bind host port 91 for 0.0.0.0:90-91:172.18.0.3:80/tcp: address already in use"},
	} {
		if tc.fail != nil {
			w.fail["publish"] = tc.fail
		}
		rec := publishing(w, "second", "front", network.PortMap{tcp80: {at("", tc.port)}})
		m, err := s.Join(t.Context(), rec)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Open(t.Context(), m)
		want := "failed to set up container networking: driver failed programming external connectivity on endpoint second (" + m.Endpoints[0].ID + "): " + tc.want
		if err == nil || err.Error() != want || !errdefs.IsInternal(err) {
			t.Errorf("%v, want %s", err, want)
		}
		delete(w.fail, "publish")
		if len(w.granted) != 1 || len(w.open) != 1 {
			t.Errorf("something is left: %v, %v", w.granted, w.open)
		}
		if err := s.Leave(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInspectOfContainers(t *testing.T) {
	tcp80 := network.MustParsePort("80/tcp")
	w := newWorld()
	s := open(t, w, Settings{Bridge: Bridge{IPv6: true}})
	create(t, s, network.CreateRequest{Name: "front", IPAM: config("10.1.0.0/16")})
	rec := publishing(w, "a", "bridge", network.PortMap{tcp80: {at("", "8080")}})
	rec.Networking = settings{"bridge": {}, "front": {Aliases: []string{"web"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr("10.1.0.9")}}}
	given := func() *view.NetworkSettings { return &view.NetworkSettings{Networks: rec.Networking} }
	before := given()
	s.Complete(before, rec)
	if ep := before.Networks["front"]; ep.NetworkID != "" || ep.Aliases[0] != "web" {
		t.Errorf("of a container that never ran: %+v", ep)
	}
	start(t, s, rec)
	rec.State = record.State{Status: record.Running, StartedAt: made}
	got := given()
	s.Complete(got, rec)
	ep := got.Networks["front"]
	if ep.NetworkID != s.ID("front") || len(ep.EndpointID) != 64 || ep.IPAddress.String() != "10.1.0.9" || ep.IPPrefixLen != 16 || ep.Gateway.String() != "10.1.0.1" ||
		strings.Join(ep.DNSNames, " ") != "a web "+rec.ShortID()+" h-a" || len(ep.MacAddress) != 6 || ep.IPAMConfig.IPv4Address.String() != "10.1.0.9" {
		t.Errorf("%+v", ep)
	}
	if got.IPAddress != "172.17.0.2" || got.IPPrefixLen != 16 || got.Gateway != "172.17.0.1" || got.MacAddress == "" || got.EndpointID == "" || got.GlobalIPv6PrefixLen != 64 ||
		got.IPv6Gateway == "" || got.Networks["bridge"].DNSNames != nil {
		t.Errorf("%+v", got)
	}
	if ports := shown(got.Ports); ports != "80/tcp 0.0.0.0:8080 [::]:8080" {
		t.Error(ports)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
	if rec.Networking["front"].NetworkID != "" {
		t.Error("the record was changed")
	}
	if err := s.Leave(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	rec.State.Status = record.Exited
	after := given()
	s.Complete(after, rec)
	if ep := after.Networks["front"]; ep.NetworkID != s.ID("front") || ep.EndpointID != "" || ep.IPAddress.IsValid() || len(after.Ports) != 0 {
		t.Errorf("of a stopped container: %+v", ep)
	}
	shownNetwork, err := s.Inspect("front")
	if err != nil || len(shownNetwork.Containers) != 0 {
		t.Errorf("%+v, %v", shownNetwork, err)
	}
}

// The end of a run that fails is tried again until it succeeds, and never hurts the run that follows.
func TestLeaveThatFails(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a, b := w.add("a", "front", nil), w.add("b", "front", nil)
	start(t, s, a)
	first := start(t, s, b)
	failing := func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail["revoke"] = err
	}
	failing(errdefs.ErrUnavailable)
	for _, c := range []*record.Container{a, b} {
		if err := s.Leave(t.Context(), c.ID); !errdefs.IsUnavailable(err) || s.run(c.ID) == nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := s.Join(t.Context(), b); !errdefs.IsUnavailable(err) {
		t.Errorf("a run begins before the former has ended: %v", err)
	}
	failing(nil)
	second := start(t, s, b)
	deadline := time.Now().Add(10 * time.Second)
	for s.run(a.ID) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it is never ended")
		}
		time.Sleep(time.Millisecond)
	}
	s.Close() // It waits for what is tried again.
	if m := s.Membership(b.ID); m == nil || m.Endpoints[0].ID != second.Endpoints[0].ID || m.Endpoints[0].ID == first.Endpoints[0].ID {
		t.Errorf("%+v", m)
	}
}

func TestRestart(t *testing.T) {
	w := newWorld()
	path := filepath.Join(t.TempDir(), "state.db")
	s := reopen(t, w, Settings{}, path)
	create(t, s, network.CreateRequest{Name: "front"})
	tcp80 := network.MustParsePort("80/tcp")
	a := start(t, s, publishing(w, "a", "front", network.PortMap{tcp80: {{}}}))
	b := start(t, s, w.add("b", "front", nil))
	gone := start(t, s, w.add("gone", "bridge", nil))
	before, err := json.Marshal(s.State())
	if err != nil {
		t.Fatal(err)
	}
	version := s.Names(b.ContainerID).GetGeneration()
	s.Close()
	_ = s.cfg.Store.Close()

	s = reopen(t, w, Settings{}, path)
	if after, err := json.Marshal(s.State()); err != nil || string(after) != string(before) {
		t.Errorf("%v\n%s\n%s", err, before, after)
	}
	if err := s.Reconcile(t.Context(), func(id string) bool { return id != gone.ContainerID }); err != nil {
		t.Fatal(err)
	}
	if s.Membership(gone.ContainerID) != nil || s.Membership(a.ContainerID).Endpoints[0].Ports[0].HostPort != 32768 {
		t.Errorf("%+v", s.State())
	}
	if got := s.Names(b.ContainerID).GetGeneration(); got <= version {
		t.Errorf("generation %d after %d", got, version)
	}
	c := start(t, s, w.add("c", "front", nil))
	if got := c.Endpoints[0].IPv4.Addr(); got == a.Endpoints[0].IPv4.Addr() || got == b.Endpoints[0].IPv4.Addr() {
		t.Errorf("%v is somebody's", got)
	}
	if err := wait(t.Context(), s.herald.heard(b.ContainerID)); err != nil || len(w.names) == 0 {
		t.Errorf("running containers are told their names after a restart: %v", err)
	}
}

func TestEventsOfNetworks(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a := w.add("a", "front", settings{"front": {}, "bridge": {}})
	w.add("j", "container:x", nil)
	w.told = nil
	p := s.Announcer()
	for _, id := range []string{a.ID, hash("j"), "nobody"} {
		for _, action := range []events.Action{events.ActionStart, events.ActionDie} {
			p.Publish(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: id}})
		}
	}
	want := "network connect front, network connect bridge, container start, container die, network disconnect front, network disconnect bridge, " +
		"container start, container die, container start, container die"
	if got := take(w, &w.told); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
