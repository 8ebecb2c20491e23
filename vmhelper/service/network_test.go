package service

import (
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/sandbox/conformance"
	"github.com/arca-engine/arca/vmhelper/sandbox/fake"
)

// both are the two services on one connection.
type both struct {
	vmhelperv1.VMHelperClient
	vmhelperv1.NetworkClient
}

func serveNetwork(t *testing.T, d *fake.Driver) both {
	t.Helper()
	cc := serveConn(t, d, uint32(os.Getuid()))
	return both{vmhelperv1.NewVMHelperClient(cc), vmhelperv1.NewNetworkClient(cc)}
}

func code(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v", what, err)
	}
}

// endpoint is one that is right; f makes it wrong.
func endpoint(f func(*vmhelperv1.RelayEndpoint)) *vmhelperv1.RelayEndpoint {
	e := &vmhelperv1.RelayEndpoint{
		Id: strings.Repeat("a", 64), Generation: 1, NetworkId: strings.Repeat("b", 64), SandboxId: strings.Repeat("c", 64), Link: "l0",
		OvsTag: 2, Mac: []byte{2, 0, 0, 0, 0, 2}, Addresses: []string{"172.18.0.2", "fd00::2"},
	}
	f(e)
	return e
}

func port(f func(*vmhelperv1.PublishedPort)) *vmhelperv1.PublishedPort {
	p := &vmhelperv1.PublishedPort{
		Id: "web-80", EndpointId: strings.Repeat("a", 64), Protocol: vmhelperv1.Protocol_TCP, HostIps: []string{"127.0.0.1"}, ContainerPort: 80,
	}
	f(p)
	return p
}

func upLink(f func(*vmhelperv1.SetUplinkRequest)) *vmhelperv1.SetUplinkRequest {
	u := &vmhelperv1.SetUplinkRequest{
		SandboxId: strings.Repeat("c", 64), Link: "up", HelperAddress: "192.168.127.2/24", Address: "192.168.127.1",
		DnsAddress: "192.168.127.53", HostAddress: "192.168.127.254", Mtu: 65521,
	}
	f(u)
	return u
}

func TestNetworkRequestsAreValidated(t *testing.T) {
	c := serveNetwork(t, fake.New())
	ctx := t.Context()
	long := strings.Repeat("x", 1000)
	for name, e := range map[string]*vmhelperv1.RelayEndpoint{
		"none":              nil,
		"no network":        endpoint(func(e *vmhelperv1.RelayEndpoint) { e.NetworkId = "" }),
		"a path as sandbox": endpoint(func(e *vmhelperv1.RelayEndpoint) { e.SandboxId = "../x" }),
		"a bad link":        endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Link = "eth0/x" }),
		"a tag too large":   endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Tag = 4095 }),
		"an OVS tag, too":   endpoint(func(e *vmhelperv1.RelayEndpoint) { e.OvsTag = 1 << 16 }),
		"a short MAC":       endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Mac = []byte{2, 0, 0} }),
		"no MAC":            endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Mac = make([]byte, 6) }),
		"a group's MAC":     endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Mac[0] = 1 }),
		"no address":        endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Addresses = []string{"localhost"} }),
		"loopback":          endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Addresses = []string{"127.0.0.1"} }),
		"a zone":            endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Addresses = []string{"fe80::1%eth0"} }),
		"too many":          endpoint(func(e *vmhelperv1.RelayEndpoint) { e.Addresses = make([]string, maxAddresses+1) }),
	} {
		_, err := c.ChangeTable(ctx, &vmhelperv1.ChangeTableRequest{Endpoints: []*vmhelperv1.RelayEndpoint{e}})
		code(t, "change: "+name, err, codes.InvalidArgument)
		_, err = c.SyncTable(ctx, &vmhelperv1.SyncTableRequest{Endpoints: []*vmhelperv1.RelayEndpoint{e}})
		code(t, "sync: "+name, err, codes.InvalidArgument)
	}
	for name, n := range map[string]*vmhelperv1.RelayNetwork{
		"no ID": {}, "no subnet": {Id: conformance.NewID(), Subnets: []string{"172.18.0.0"}},
		"too many subnets": {Id: conformance.NewID(), Subnets: make([]string, maxSubnets+1)},
	} {
		_, err := c.ChangeTable(ctx, &vmhelperv1.ChangeTableRequest{Networks: []*vmhelperv1.RelayNetwork{n}})
		code(t, "network: "+name, err, codes.InvalidArgument)
	}
	for name, p := range map[string]*vmhelperv1.PublishedPort{
		"none":              nil,
		"an ID with a path": port(func(p *vmhelperv1.PublishedPort) { p.Id = "a/port" }),
		"a long ID":         port(func(p *vmhelperv1.PublishedPort) { p.Id = long }),
		"no protocol":       port(func(p *vmhelperv1.PublishedPort) { p.Protocol = 0 }),
		"another protocol":  port(func(p *vmhelperv1.PublishedPort) { p.Protocol = 132 }),
		"no address":        port(func(p *vmhelperv1.PublishedPort) { p.HostIps = nil }),
		"a name":            port(func(p *vmhelperv1.PublishedPort) { p.HostIps = []string{"localhost"} }),
		"a group":           port(func(p *vmhelperv1.PublishedPort) { p.HostIps = []string{"224.0.0.1"} }),
		"twice":             port(func(p *vmhelperv1.PublishedPort) { p.HostIps = []string{"127.0.0.1", "127.0.0.1"} }),
		"no port within":    port(func(p *vmhelperv1.PublishedPort) { p.ContainerPort = 0 }),
		"a large one":       port(func(p *vmhelperv1.PublishedPort) { p.ContainerPort = 65536 }),
		"a large one here":  port(func(p *vmhelperv1.PublishedPort) { p.HostPort = 65536 }),
		"backwards":         port(func(p *vmhelperv1.PublishedPort) { p.HostPort, p.HostPortLast = 20, 10 }),
		"an end alone":      port(func(p *vmhelperv1.PublishedPort) { p.HostPortLast = 10 }),
		"a bad rule":        port(func(p *vmhelperv1.PublishedPort) { p.Rules = []*vmhelperv1.SourceRule{{Source: "all"}} }),
	} {
		_, err := c.Publish(ctx, &vmhelperv1.PublishRequest{Port: p})
		code(t, "port: "+name, err, codes.InvalidArgument)
	}
	for name, u := range map[string]*vmhelperv1.SetUplinkRequest{
		"a path":            upLink(func(u *vmhelperv1.SetUplinkRequest) { u.SandboxId = "../x" }),
		"no subnet":         upLink(func(u *vmhelperv1.SetUplinkRequest) { u.HelperAddress = "192.168.127.2" }),
		"another subnet":    upLink(func(u *vmhelperv1.SetUplinkRequest) { u.Address = "10.0.0.1" }),
		"the helper's own":  upLink(func(u *vmhelperv1.SetUplinkRequest) { u.Address = "192.168.127.2" }),
		"no MTU":            upLink(func(u *vmhelperv1.SetUplinkRequest) { u.Mtu = 0 }),
		"IPv6 without this": upLink(func(u *vmhelperv1.SetUplinkRequest) { u.HelperAddress6 = "fd00::2/64" }),
		"no port":           upLink(func(u *vmhelperv1.SetUplinkRequest) { u.Denied = []string{"127.0.0.1"} }),
		"a name":            upLink(func(u *vmhelperv1.SetUplinkRequest) { u.Resolvers = []string{"dns.example"} }),
		"DNS is host":       upLink(func(u *vmhelperv1.SetUplinkRequest) { u.DnsAddress = u.HostAddress }),
	} {
		_, err := c.SetUplink(ctx, u)
		code(t, "uplink: "+name, err, codes.InvalidArgument)
	}
	_, err := c.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: conformance.NewID(), Link: &vmhelperv1.Link{Name: "../x"}})
	code(t, "a bad link", err, codes.InvalidArgument)
	_, err = c.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: conformance.NewID()})
	code(t, "no link", err, codes.InvalidArgument)
	_, err = c.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: conformance.NewID(), Link: &vmhelperv1.Link{Name: "l0"}})
	code(t, "a sandbox that is not there", err, codes.NotFound)
	_, err = c.RemoveLink(ctx, &vmhelperv1.RemoveLinkRequest{SandboxId: conformance.NewID(), Name: "l0"})
	code(t, "removing a link of what is not there", err, codes.OK)
	_, err = c.Unpublish(ctx, &vmhelperv1.UnpublishRequest{Ids: []string{"A"}})
	code(t, "a bad ID", err, codes.InvalidArgument)
	_, err = c.Counters(ctx, &vmhelperv1.CountersRequest{EndpointIds: []string{"x"}})
	code(t, "a bad ID", err, codes.InvalidArgument)
	if _, err := c.SyncTable(ctx, &vmhelperv1.SyncTableRequest{
		Networks: []*vmhelperv1.RelayNetwork{{Id: strings.Repeat("b", 64), Generation: 1, Subnets: []string{"172.18.0.0/16"}}}, Endpoints: []*vmhelperv1.RelayEndpoint{endpoint(func(*vmhelperv1.RelayEndpoint) {})},
	}); err != nil {
		t.Errorf("what is right: %v", err)
	}
	if _, err := c.SetUplink(ctx, upLink(func(*vmhelperv1.SetUplinkRequest) {})); err != nil {
		t.Errorf("what is right: %v", err)
	}
}

// TestLinksReachTheRelay holds that every link of a sandbox is attached, one that is added too, and that none is after
// its removal, or the sandbox's end.
func TestLinksReachTheRelay(t *testing.T) {
	d := fake.New()
	c := serveNetwork(t, d)
	ctx := t.Context()
	id, network := conformance.NewID(), strings.Repeat("b", 64)
	if _, err := c.CreateSandbox(ctx, &vmhelperv1.CreateSandboxRequest{Spec: &vmhelperv1.SandboxSpec{Id: id, Links: []*vmhelperv1.Link{{Name: "a"}}}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: id, Link: &vmhelperv1.Link{Name: "b"}}); err != nil {
			t.Fatal(err)
		}
	}
	macA, macB := []byte{2, 0, 0, 0, 0, 0xa}, []byte{2, 0, 0, 0, 0, 0xb}
	in := func(link, fill string, mac []byte, tag uint32) *vmhelperv1.RelayEndpoint {
		return endpoint(func(e *vmhelperv1.RelayEndpoint) {
			e.Id, e.SandboxId, e.Link, e.Mac, e.OvsTag = strings.Repeat(fill, 64), id, link, mac, tag
			e.Addresses = []string{"172.18.0." + map[string]string{"a": "10", "b": "11"}[link]}
		})
	}
	if _, err := c.SyncTable(ctx, &vmhelperv1.SyncTableRequest{
		Networks:  []*vmhelperv1.RelayNetwork{{Id: network, Generation: 1, Subnets: []string{"172.18.0.0/16"}}},
		Endpoints: []*vmhelperv1.RelayEndpoint{in("a", "1", macA, 10), in("b", "2", macB, 11)},
	}); err != nil {
		t.Fatal(err)
	}
	a, err := d.Far(id, "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Far(id, "b")
	if err != nil {
		t.Fatal(err)
	}
	// An IPv4 packet from a to b with nothing in it.
	frame := append(append([]byte{}, append(macB, macA...)...), 8, 0,
		0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0x22, 0xc5, 172, 18, 0, 10, 172, 18, 0, 11)
	if _, err := a.Write(frame); err != nil {
		t.Fatal(err)
	}
	_ = b.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, 2000)
	if n, err := b.Read(got); err != nil || n < len(frame) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	r, err := c.Counters(ctx, &vmhelperv1.CountersRequest{EndpointIds: []string{strings.Repeat("2", 64)}})
	if err != nil || len(r.Endpoints) != 1 || r.Endpoints[0].RxPackets != 1 {
		t.Errorf("%v %v", r, err)
	}
	for range 2 {
		if _, err := c.RemoveLink(ctx, &vmhelperv1.RemoveLinkRequest{SandboxId: id, Name: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Write(frame); err != nil {
		t.Errorf("the other link: %v", err)
	}
	if _, err := c.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
}

func TestPublishedPortsAreListed(t *testing.T) {
	c := serveNetwork(t, fake.New())
	r, err := c.Publish(t.Context(), &vmhelperv1.PublishRequest{Port: port(func(p *vmhelperv1.PublishedPort) {
		p.Rules = []*vmhelperv1.SourceRule{{Source: "10.1.2.3/8", Allow: true}}
	})})
	if err != nil {
		t.Fatal(err)
	}
	want := port(func(p *vmhelperv1.PublishedPort) {
		p.HostPort, p.Rules = r.HostPort, []*vmhelperv1.SourceRule{{Source: "10.0.0.0/8", Allow: true}}
	})
	l, err := c.ListPublished(t.Context(), &vmhelperv1.ListPublishedRequest{})
	if err != nil || len(l.Ports) != 1 || !proto.Equal(l.Ports[0], want) {
		t.Errorf("%v, %v", l, err)
	}
	_, err = c.Publish(t.Context(), &vmhelperv1.PublishRequest{Port: port(func(p *vmhelperv1.PublishedPort) { p.Id, p.HostPort = "other", r.HostPort })})
	code(t, "a port that is taken", err, codes.AlreadyExists)
	if _, err := c.Unpublish(t.Context(), &vmhelperv1.UnpublishRequest{Ids: []string{"web-80"}}); err != nil {
		t.Error(err)
	}
}

// FuzzNetworkRequests holds that no message can break the conversion, and that what passes it is within its bounds.
func FuzzNetworkRequests(f *testing.F) {
	seed := func(kind byte, m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, b)
	}
	e := endpoint(func(*vmhelperv1.RelayEndpoint) {})
	seed(0, &vmhelperv1.SyncTableRequest{Endpoints: []*vmhelperv1.RelayEndpoint{e}, Ovs: &vmhelperv1.OvsLink{SandboxId: e.SandboxId, Link: "ovs"}})
	seed(1, &vmhelperv1.ChangeTableRequest{Endpoints: []*vmhelperv1.RelayEndpoint{e}, RemoveNetworks: []string{e.NetworkId}})
	seed(2, upLink(func(*vmhelperv1.SetUplinkRequest) {}))
	seed(3, &vmhelperv1.PublishRequest{Port: port(func(*vmhelperv1.PublishedPort) {})})
	seed(4, &vmhelperv1.AddLinkRequest{Link: &vmhelperv1.Link{Name: "l0", Mtu: 1500}})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		switch kind % 5 {
		case 0:
			var m vmhelperv1.SyncTableRequest
			if proto.Unmarshal(b, &m) != nil {
				return
			}
			if table, err := toTable(&m); err == nil {
				for _, e := range table.Endpoints {
					if len(e.ID) != 64 || e.Tag > maxVLAN || e.MAC[0]&1 != 0 || len(e.Addresses) > maxAddresses {
						t.Errorf("%+v", e)
					}
				}
			}
		case 1:
			var m vmhelperv1.ChangeTableRequest
			if proto.Unmarshal(b, &m) == nil {
				if c, err := toChange(&m); err == nil && c.DropOVS && c.OVS != nil {
					t.Errorf("%+v", c)
				}
			}
		case 2:
			var m vmhelperv1.SetUplinkRequest
			if proto.Unmarshal(b, &m) == nil {
				if s, err := toUplink(&m); err == nil && s != nil && (!s.Helper.Contains(s.Address) || s.MTU < 1280) {
					t.Errorf("%+v", s)
				}
			}
		case 3:
			var m vmhelperv1.PublishRequest
			if proto.Unmarshal(b, &m) == nil {
				if p, err := toPort(m.GetPort()); err == nil && (p.Inside == 0 || len(p.HostIPs) == 0 || strings.Contains(p.ID, "/")) {
					t.Errorf("%+v", p)
				}
			}
		case 4:
			var m vmhelperv1.AddLinkRequest
			if proto.Unmarshal(b, &m) == nil {
				if l, err := toLink(m.GetLink(), fake.New().Features()); err == nil && (len(l.Name) > 15 || len(l.MAC) != 0 && len(l.MAC) != 6) {
					t.Errorf("%+v", l)
				}
			}
		}
	})
}
