package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
}

func TestIsolated(t *testing.T) {
	n := newNet(t, func(n *Network) { n.Isolated = true })
	a, b, g := n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(gatewayHost(9))
	a.send(t, udp4(a.Endpoint, b.Endpoint, 1, 2, nil))
	n.dropped(t, "isolated", 1)
	up, down := udp4(a.Endpoint, g.Endpoint, 1, 2, nil), udp4(g.Endpoint, a.Endpoint, 2, 1, nil)
	a.send(t, up)
	same(t, g.next(t), up)
	g.send(t, down)
	same(t, a.next(t), down)
	b.silent(t)
}

func TestInspectedGoesToOVS(t *testing.T) {
	n := newNet(t, func(n *Network) { n.Inspected = true })
	ovs, a, b, g := n.ovs(), n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(gatewayHost(9))
	between := udp4(a.Endpoint, b.Endpoint, 1, 2, []byte("seen"))
	a.send(t, between)
	same(t, ovs.next(t), tagged(between, a.OVSTag))
	b.silent(t)
	ovs.send(t, tagged(between, b.OVSTag)) // What OVS lets pass comes with the receiver's tag.
	same(t, b.next(t), between)
	up := udp4(a.Endpoint, g.Endpoint, 1, 2, nil)
	a.send(t, up)
	same(t, g.next(t), up)
	ovs.silent(t)
}

// TestOVSGetsNothingHalfDone: it reads from a packet socket, whatever the link says.
func TestOVSGetsNothingHalfDone(t *testing.T) {
	n := newNet(t, func(n *Network) { n.Inspected = true })
	key := LinkKey{"helper", "ovs"}
	if err := n.Change(Change{OVS: &key}); err != nil {
		t.Fatal(err)
	}
	all := LinkOptions{VnetHeader: 12, Checksums: true, Segments: true}
	trunk := all
	trunk.Trunk = true
	ovs := n.station(key, trunk)
	ovs.Tag = 1
	a, b := n.endpoint(host(1), all), n.endpoint(host(2), all)
	ovs.options.Checksums, ovs.options.Segments = false, false // For what checks it.
	payload := noise(30 * mss)
	a.send(t, tcp(a.Endpoint, b.Endpoint, 0, payload, true, mss))
	wantStream(t, ovs, payload)
}

func TestOVSReachesTheTagAlone(t *testing.T) {
	n := newNet(t)
	ovs, a, b := n.ovs(), n.endpoint(host(1)), n.endpoint(host(2))
	frame := ethernet(broadcast, a.MAC, 0x88b5, []byte("all"))
	a.send(t, frame)
	same(t, ovs.next(t), tagged(frame, 1))
	ovs.send(t, tagged(frame, 2))
	same(t, b.next(t), frame)
	ovs.send(t, tagged(frame, 77))
	ovs.send(t, frame)
	n.dropped(t, "bad_tag", 2)
	ovs.send(t, tagged(tagged(frame, 2), 2))
	n.dropped(t, "double_tag", 1)
	a.silent(t)
	ovs.silent(t)
}

func TestWithoutOVS(t *testing.T) {
	n := newNet(t)
	a := n.endpoint(host(1))
	a.send(t, ethernet(broadcast, a.MAC, 0x88b5, []byte("all")))
	n.dropped(t, "no_ovs", 1)
	a.send(t, ethernet([6]byte{2, 9, 9, 9, 9, 9}, a.MAC, 0x88b5, []byte("who")))
	n.dropped(t, "unknown_endpoint", 1)
	a.send(t, ethernet(a.MAC, a.MAC, 0x88b5, []byte("me")))
	n.dropped(t, "loop", 1)
}

func TestNetworksAreApart(t *testing.T) {
	n := newNet(t)
	if err := n.Change(Change{Networks: []Network{{ID: "other"}}}); err != nil {
		t.Fatal(err)
	}
	e := host(2)
	e.Network = "other"
	a, b := n.endpoint(host(1)), n.endpoint(e)
	a.send(t, udp4(a.Endpoint, b.Endpoint, 1, 2, nil))
	n.dropped(t, "unknown_endpoint", 1)
	b.silent(t)
}

func TestTrunkCarriesItsTags(t *testing.T) {
	n := newNet(t)
	e1, e2 := host(1), host(2)
	e1.Tag, e2.Tag, e2.Link = 5, 6, e1.Link
	trunk, b := n.endpoint(e1), n.endpoint(host(3))
	if err := n.Change(Change{Endpoints: []Endpoint{e2}}); err != nil {
		t.Fatal(err)
	}
	frame := udp4(e1, b.Endpoint, 1, 2, nil)
	trunk.send(t, tagged(frame, 5))
	same(t, b.next(t), frame)
	trunk.send(t, tagged(frame, 6)) // With the tag of the other.
	n.dropped(t, "spoofed_mac", 1)
	trunk.send(t, tagged(frame, 7))
	trunk.send(t, frame)
	n.dropped(t, "bad_tag", 2)
	trunk.send(t, tagged(tagged(frame, 5), 5))
	n.dropped(t, "double_tag", 1)
	within := udp4(e1, e2, 1, 2, nil)
	trunk.send(t, tagged(within, 5))
	same(t, trunk.next(t), tagged(within, 6))
}

func TestRuntsAndGiants(t *testing.T) {
	n := newNet(t)
	a, b := n.endpoint(host(1), LinkOptions{MTU: 1500}), n.endpoint(host(2), LinkOptions{MTU: 1000})
	for i := range uint64(ethLen - 1) {
		if _, err := a.file.Write(make([]byte, i+1)); err != nil {
			t.Fatal(err)
		}
		n.dropped(t, "runt", i+1)
	}
	a.send(t, ethernet(b.MAC, a.MAC, 0x88b5, make([]byte, 1501)))
	n.dropped(t, "giant", 1)
	a.send(t, ethernet(b.MAC, a.MAC, 0x88b5, make([]byte, 1001))) // Too large for b.
	n.dropped(t, "giant", 2)
	a.send(t, ethernet(b.MAC, a.MAC, 0x88b5, make([]byte, 1000)))
	b.next(t)
}

func TestHeadersThatLie(t *testing.T) {
	options := LinkOptions{VnetHeader: 12, Checksums: true, Segments: true, MTU: 1500}
	for name, change := range map[string]func(f []byte){
		"checksum beyond the end":      func(f []byte) { binary.LittleEndian.PutUint16(f[8:], 1500) },
		"checksum in front":            func(f []byte) { binary.LittleEndian.PutUint16(f[6:], 0) },
		"segments without a size":      func(f []byte) { f[1] = segmentTCPv4 },
		"segments of nearly nothing":   func(f []byte) { f[1], f[4] = segmentTCPv4, minSegment-1 },
		"segments without a checksum":  func(f []byte) { f[0], f[1], f[4] = 0, segmentTCPv4, 100 },
		"segments of an unknown kind":  func(f []byte) { f[1], f[4] = 3, 100 },
		"segments with a UDP checksum": func(f []byte) { f[1], f[4], f[8] = segmentTCPv4, 100, 6 },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t)
			a, b := n.endpoint(host(1), options), n.endpoint(host(2), options)
			f := tcp(a.Endpoint, b.Endpoint, 0, make([]byte, 300), true, 0)
			change(f)
			a.send(t, f)
			n.dropped(t, "bad_header", 1)
		})
	}
	t.Run("segments larger than the MTU", func(t *testing.T) {
		n := newNet(t)
		a, b := n.endpoint(host(1), options), n.endpoint(host(2), options)
		a.send(t, tcp(a.Endpoint, b.Endpoint, 0, make([]byte, 3000), true, 2000))
		n.dropped(t, "giant", 1)
	})
	t.Run("segments with endless headers", func(t *testing.T) {
		n := newNet(t)
		all := options
		all.MTU = 0
		a, b := n.endpoint(host(1), all), n.endpoint(host(2))
		f := tcp(a.Endpoint, b.Endpoint, 1, make([]byte, 30000), true, minSegment)
		binary.LittleEndian.PutUint16(f[6:], 20000)
		f[headerLen+20000+12] = 5 << 4
		a.send(t, f)
		n.dropped(t, "unsegmented", 1)
		b.silent(t)
	})
	t.Run("segments that are no TCP", func(t *testing.T) {
		n := newNet(t)
		a, b := n.endpoint(host(1), options), n.endpoint(host(2))
		f := tcp(a.Endpoint, b.Endpoint, 0, make([]byte, 3000), true, 1000)
		f[headerLen+ethLen+20+12] = 0xf0 // More header than there is... of this segment, but not of the frame.
		f[1] = segmentTCPv6
		a.send(t, f)
		n.dropped(t, "unsegmented", 1)
		b.silent(t)
	})
}

func TestFloodsAreCut(t *testing.T) {
	n := newNet(t)
	ovs, a := n.ovs(), n.endpoint(host(1))
	frame := ethernet(broadcast, a.MAC, 0x88b5, []byte("all"))
	buf := make([]byte, 2048)
	passed := 0
	for range slowBurst {
		a.send(t, frame)
		ovs.receive(t, buf)
		passed++
	}
	for i := range 20 * slowBurst {
		a.send(t, frame)
		if _, own := n.Counters(); own["flood"] > 0 {
			return
		}
		if i%8 == 0 {
			ovs.drain(buf)
		}
	}
	t.Fatal("nothing was cut")
}

// drain takes what is there.
func (s *station) drain(buf []byte) {
	c, err := s.file.SyscallConn()
	if err != nil {
		return
	}
	_ = c.Read(func(fd uintptr) bool {
		for {
			if _, err := readFD(int(fd), buf); err != nil {
				return true
			}
		}
	})
}

func TestPortalTakesItsFlows(t *testing.T) {
	n := newNet(t)
	a, g := n.endpoint(host(1)), n.endpoint(gatewayHost(9))
	p := n.Portal(testNetwork)
	arrived := make(chan []byte, 4)
	p.Receive(func(f []byte) { arrived <- append([]byte{}, f...) })
	for family := range 2 {
		client, server := g.Endpoint, a.Endpoint
		answer := udp(server, client, family, 53, 4000, []byte("answer"))
		flow := Flow{Protocol: protoUDP, Remote: ap(client, family, 4000), Endpoint: ap(server, family, 53)}
		a.send(t, answer)
		same(t, g.next(t), answer)
		if err := p.Open(flow); err != nil {
			t.Fatal(err)
		}
		a.send(t, answer)
		same(t, <-arrived, answer)
		other := udp(server, client, family, 53, 4001, []byte("answer"))
		a.send(t, other)
		same(t, g.next(t), other)
		p.Close(flow)
		a.send(t, answer)
		same(t, g.next(t), answer)
	}
	endpoint, gateway, ok := p.Neighbor(a.Addresses[0])
	if !ok || endpoint != a.MAC || gateway != g.MAC {
		t.Fatalf("neighbour: %x %x %v", endpoint, gateway, ok)
	}
	request := udp4(g.Endpoint, a.Endpoint, 4000, 53, []byte("request"))
	if err := p.Write(request); err != nil {
		t.Fatal(err)
	}
	same(t, a.next(t), request)
	if err := p.Write(udp4(g.Endpoint, host(77), 1, 2, nil)); err == nil {
		t.Fatal("wrote to an endpoint that is not there")
	}
	if err := p.Write(request[:headerLen+ethLen-1]); err == nil {
		t.Fatal("wrote a runt")
	}
	p.Release()
	if n.Portal(testNetwork) == p {
		t.Fatal("a released portal came back")
	}
}

// TestPortalTakesFragments: the later ones name no port.
func TestPortalTakesFragments(t *testing.T) {
	n := newNet(t)
	a, g := n.endpoint(host(1)), n.endpoint(gatewayHost(9))
	p := n.Portal(testNetwork)
	arrived := make(chan []byte, 4)
	p.Receive(func(f []byte) { arrived <- append([]byte{}, f...) })
	if err := p.Open(Flow{Protocol: protoUDP, Remote: ap(g.Endpoint, 0, 4000), Endpoint: ap(a.Endpoint, 0, 53)}); err != nil {
		t.Fatal(err)
	}
	fragment := ethernet(g.MAC, a.MAC, typeIPv4, ip4(a.Addresses[0], g.Addresses[0], protoUDP, []byte("the rest")))
	binary.BigEndian.PutUint16(fragment[headerLen+ethLen+6:], 100)
	a.send(t, fragment)
	same(t, <-arrived, fragment)
	other := ethernet(g.MAC, a.MAC, typeIPv4, ip4(a.Addresses[0], addr("192.0.2.1"), protoUDP, []byte("the rest")))
	binary.BigEndian.PutUint16(other[headerLen+ethLen+6:], 100)
	a.send(t, other)
	same(t, g.next(t), other)
}

func TestWireIsPointToPoint(t *testing.T) {
	n := newNet(t)
	key := LinkKey{"helper", "up"}
	w := n.Wire(key)
	if err := w.Write(make([]byte, 100)); err == nil {
		t.Fatal("wrote to a link that is not attached")
	}
	arrived := make(chan []byte, 1)
	w.Receive(func(f []byte) { arrived <- append([]byte{}, f...) })
	s := n.station(key)
	frame := ethernet([6]byte{2, 1}, [6]byte{2, 2}, typeIPv4, []byte("anything"))
	s.send(t, frame)
	same(t, <-arrived, frame)
	if err := w.Write(frame); err != nil {
		t.Fatal(err)
	}
	same(t, s.next(t), frame)
	w.Release()
	s.send(t, frame)
	n.dropped(t, "unknown_endpoint", 1)
}

func TestFlowsAreBounded(t *testing.T) {
	n := newNet(t)
	p := n.Portal(testNetwork)
	flow := func(i int) Flow {
		return Flow{Protocol: protoTCP, Remote: ap(host(i>>10), 0, uint16(i)), Endpoint: ap(host(1), 0, 80)}
	}
	for i := range maxFlows {
		if err := p.Open(flow(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Open(flow(maxFlows)); err == nil {
		t.Fatal("more flows than there may be")
	}
	for i := range maxFlows {
		if !p.flows.has(flow(i)) {
			t.Fatalf("flow %d is gone", i)
		}
		p.Close(flow(i))
		p.Close(flow(i))
	}
	for i := range p.flows.buckets.Load() {
		if b := p.flows.buckets.Load()[i].Load(); b != nil {
			t.Fatalf("left over: %+v", b.flow)
		}
	}
	for _, bad := range []Flow{{}, {Protocol: 1, Remote: flow(1).Remote, Endpoint: flow(1).Endpoint}, {Protocol: protoTCP, Remote: flow(1).Remote}} {
		if err := p.Open(bad); err == nil {
			t.Fatal(fmt.Sprint("opened ", bad))
		}
	}
}
