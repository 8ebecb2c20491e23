package relay

import (
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"
)

func TestBadTables(t *testing.T) {
	for name, change := range map[string]func(c *Change){
		"no ID":              func(c *Change) { c.Endpoints[0].ID = "" },
		"no network":         func(c *Change) { c.Endpoints[0].Network = "absent" },
		"no link":            func(c *Change) { c.Endpoints[0].Link.Name = "" },
		"no MAC":             func(c *Change) { c.Endpoints[0].MAC = [6]byte{} },
		"MAC of a group":     func(c *Change) { c.Endpoints[0].MAC = broadcast },
		"tag":                func(c *Change) { c.Endpoints[0].Tag = 4095 },
		"OVS tag":            func(c *Change) { c.Endpoints[0].OVSTag = 4095 },
		"same MAC":           func(c *Change) { c.Endpoints[0].MAC = c.Endpoints[1].MAC },
		"same address":       func(c *Change) { c.Endpoints[0].Addresses = c.Endpoints[1].Addresses },
		"same link":          func(c *Change) { c.Endpoints[0].Link = c.Endpoints[1].Link },
		"same OVS tag":       func(c *Change) { c.Endpoints[0].OVSTag = c.Endpoints[1].OVSTag },
		"trunk and alone":    func(c *Change) { c.Endpoints[0].Link, c.Endpoints[0].Tag = c.Endpoints[1].Link, 5 },
		"address of a group": func(c *Change) { c.Endpoints[0].Addresses = []netip.Addr{addr("224.0.0.1")} },
		"no address":         func(c *Change) { c.Endpoints[0].Addresses = []netip.Addr{{}} },
		"mapped address":     func(c *Change) { c.Endpoints[0].Addresses = []netip.Addr{addr("::ffff:10.0.0.1")} },
		"too many addresses": func(c *Change) { c.Endpoints[0].Addresses = make([]netip.Addr, maxAddresses+1) },
		"subnet":             func(c *Change) { c.Networks[0].Subnets = []netip.Prefix{{}} },
		"on the OVS link":    func(c *Change) { c.OVS = &c.Endpoints[0].Link },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.endpoint(host(3)), n.endpoint(host(4))
			c := Change{
				RemoveEndpoints: []string{"e3"}, Endpoints: []Endpoint{host(1), host(2)}, Networks: []Network{{ID: "second", Generation: 1}},
			}
			change(&c)
			want := errdefs.IsInvalidArgument
			if name == "no network" { // As of before a restart: what is missing, not what is wrong.
				want = errdefs.IsNotFound
			}
			if err := n.Change(c); !want(err) {
				t.Fatalf("got %v", err)
			}
			frame := udp4(a.Endpoint, b.Endpoint, 1, 2, nil) // Nothing of it happened.
			a.send(t, frame)
			same(t, b.next(t), frame)
		})
	}
}

func TestGenerations(t *testing.T) {
	n := newNet(t)
	a, b := n.endpoint(host(1)), n.endpoint(host(2))
	frame := udp4(a.Endpoint, b.Endpoint, 1, 2, nil)
	older := b.Endpoint
	older.MAC = [6]byte{2, 7, 7, 7, 7, 7}
	if err := n.Change(Change{Endpoints: []Endpoint{older}, Networks: []Network{{ID: testNetwork, Generation: 1, Isolated: true}}}); err != nil {
		t.Fatal(err)
	}
	a.send(t, frame)
	b.next(t)
	older.Generation = 2
	if err := n.Change(Change{Endpoints: []Endpoint{older}}); err != nil {
		t.Fatal(err)
	}
	a.send(t, frame)
	n.dropped(t, "unknown_endpoint", 1)
	if got, _ := n.Counters("e2"); got[0].RxPackets != 1 {
		t.Fatalf("its counters began anew: %+v", got)
	}
	// Removed first, added then, in one change.
	if err := n.Change(Change{RemoveEndpoints: []string{"e2"}, Endpoints: []Endpoint{b.Endpoint}}); err != nil {
		t.Fatal(err)
	}
	a.send(t, frame)
	b.next(t)
}

func TestSyncReplaces(t *testing.T) {
	n := newNet(t)
	a, b, c := n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(host(3))
	a.send(t, udp4(a.Endpoint, b.Endpoint, 1, 2, nil))
	b.next(t)
	if err := n.Sync(Table{Networks: []Network{{ID: testNetwork}}, Endpoints: []Endpoint{a.Endpoint, b.Endpoint}}); err != nil {
		t.Fatal(err)
	}
	a.send(t, udp4(a.Endpoint, b.Endpoint, 1, 2, nil))
	b.next(t)
	a.send(t, udp4(a.Endpoint, c.Endpoint, 1, 2, nil))
	n.dropped(t, "unknown_endpoint", 1)
	c.send(t, udp4(c.Endpoint, a.Endpoint, 1, 2, nil))
	n.dropped(t, "unknown_endpoint", 2)
	if got, _ := n.Counters(); len(got) != 2 || got[0].RxPackets+got[1].RxPackets != 2 {
		t.Fatalf("counters: %+v", got)
	}
	if err := n.Change(Change{RemoveNetworks: []string{testNetwork}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := n.Counters(); len(got) != 0 {
		t.Fatalf("endpoints outlived their network: %+v", got)
	}
}

// TestLinkMayComeLater: an entry waits for its link.
func TestLinkMayComeLater(t *testing.T) {
	n := newNet(t)
	e := host(2)
	if err := n.Change(Change{Endpoints: []Endpoint{e}}); err != nil {
		t.Fatal(err)
	}
	a := n.endpoint(host(1))
	a.send(t, udp4(a.Endpoint, e, 1, 2, nil))
	n.dropped(t, "no_link", 1)
	b := n.station(e.Link)
	a.send(t, udp4(a.Endpoint, e, 1, 2, nil))
	b.next(t)
}

func TestBadLinks(t *testing.T) {
	n := newNet(t)
	for _, o := range []LinkOptions{{VnetHeader: 11}, {MTU: 1 << 17}, {Checksums: true}, {VnetHeader: 12, Segments: true}} {
		near, far := pair(t)
		if err := n.Attach(LinkKey{"s", "l"}, near, o); !errdefs.IsInvalidArgument(err) {
			t.Fatalf("%+v: %v", o, err)
		}
		if near.Close() == nil {
			t.Fatal("the descriptor of a refused link stayed open")
		}
		_ = far.Close()
	}
	if err := n.Detach(LinkKey{"s", "absent"}); err != nil {
		t.Fatal(err)
	}
}
