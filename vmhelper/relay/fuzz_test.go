package relay

import (
	"testing"
)

// fuzzNet is a relay with a link of each kind; what it writes is checked and goes nowhere.
func fuzzNet(t testing.TB) (*testNet, map[LinkKey]*link) {
	n := newNetOf(t, Config{write: func(_ int, p []byte) error {
		if len(p) < ethLen {
			t.Errorf("wrote a runt: %x", p)
		}
		return nil
	}}, func(n *Network) { n.Inspected = false })
	trunk := host(3)
	trunk.Tag = 7
	g := gatewayHost(9)
	for i, e := range []Endpoint{host(1), host(2), trunk, g} {
		n.endpoint(e, linkKinds[[]int{0, 4, 6, 3}[i]].options)
	}
	n.ovs()
	p := n.Portal(testNetwork)
	p.Receive(func([]byte) {})
	if err := p.Open(Flow{Protocol: protoTCP, Remote: ap(g, 0, 2000), Endpoint: ap(host(1), 0, 1000)}); err != nil {
		t.Fatal(err)
	}
	links := map[LinkKey]*link{}
	for key, j := range n.jacks {
		links[key] = j.link.Load()
	}
	return n, links
}

func seeds() [][]byte {
	a, b, g := host(1), host(2), gatewayHost(9)
	return [][]byte{
		udp4(a, b, 1, 2, []byte("hello")), udp(a, b, 1, 1, 2, nil), tcp(a, b, 0, make([]byte, 3000), true, 1000), tcp(a, g, 0, nil, false, 0),
		tcp(a, b, 1, make([]byte, 3000), true, 1000), tagged(udp4(a, b, 1, 2, nil), 7),
		ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], b.Addresses[0])),
		ethernet(b.MAC, a.MAC, typeIPv6, icmp6(a.Addresses[1], b.Addresses[1], neighborSolicitation, b.Addresses[1], 1, a.MAC)),
		ethernet(b.MAC, a.MAC, typeIPv6, icmp6(a.Addresses[1], b.Addresses[1], neighborAdvertisement, a.Addresses[1], 2, a.MAC)),
		ethernet(b.MAC, a.MAC, typeIPv6, ip6(a.Addresses[1], b.Addresses[1], 0, []byte{44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 8, 0, 0, 0, 0})),
	}
}

// FuzzIngress sends whatever there is on every link, through all that the relay does with it.
func FuzzIngress(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, true)
		f.Add(s[headerLen:], false)
	}
	n, links := fuzzNet(f)
	f.Fuzz(func(_ *testing.T, raw []byte, own bool) {
		for key, l := range links {
			fr := frames.Get().(*frame)
			p := fr.data[headroom-l.vnet:]
			length := copy(p, raw)
			if own && length >= l.vnet+12 && key.Name != "ovs" { // Past the first check.
				mac := host(map[string]int{"s1": 1, "s2": 2, "s3": 3, "s9": 9}[key.Sandbox]).MAC
				copy(p[l.vnet+6:], mac[:])
			}
			if fr.adopt(l.vnet, length) == carried {
				// The true one's view belongs to its reader.
				n.ingress(&link{relay: l.relay, jack: l.jack, vnet: l.vnet, mtu: l.mtu}, fr)
			}
			frames.Put(fr)
		}
	})
}

// FuzzFrame asks every accessor.
func FuzzFrame(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	n := newNet(f)
	n.endpoint(host(1))
	n.endpoint(host(2))
	p := n.snapshot.Load().networks[testNetwork].byAddress[host(1).Addresses[0]]
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr := new(frame)
		if fr.adopt(headerLen, copy(fr.data[headroom-headerLen:], raw)) != carried {
			return
		}
		p.checkSource(fr.bytes())
		flowOf(fr.bytes())
		if fr.header().check(fr.len()) {
			fr.tooBig(1500)
			var tr train
			if tr.cut(fr.header(), fr.bytes()) {
				part := new(frame)
				total := 0
				for tr.next(part) {
					total += part.len() - tr.data
				}
				if total != fr.len()-tr.data {
					t.Fatalf("%d bytes became %d", fr.len()-tr.data, total)
				}
			}
			if fr.header().needsChecksum() {
				completeChecksum(fr.header(), fr.bytes())
			}
		}
		was := append([]byte{}, fr.bytes()...)
		fr.tag(5)
		if tag, why := fr.untag(); why == carried && tag != 5 {
			t.Fatalf("tag %d", tag)
		} else if why == carried && string(was) != string(fr.bytes()) {
			t.Fatal("a tag put in and taken out changed the frame")
		}
		fr.answer(p)
	})
}
