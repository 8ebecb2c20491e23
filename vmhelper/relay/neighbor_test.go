package relay

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestAnswersARP(t *testing.T) {
	n := newNet(t)
	a, b := n.endpoint(host(1)), n.endpoint(host(2))
	for _, to := range [][6]byte{broadcast, b.MAC} {
		a.send(t, ethernet(to, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], b.Addresses[0])))
		want := arp(2, b.MAC, b.Addresses[0], a.Addresses[0])
		copy(want[18:], a.MAC[:])
		if got := a.next(t); !bytes.Equal(got, ethernet(a.MAC, b.MAC, typeARP, want)) {
			t.Fatalf("got %x, want %x", got, want)
		}
	}
	b.silent(t)
}

func TestAnswersSolicitation(t *testing.T) {
	for _, gateway := range []bool{false, true} {
		n := newNet(t)
		e := host(2)
		e.Gateway = gateway
		a, b := n.endpoint(host(1)), n.endpoint(e)
		group := [6]byte{0x33, 0x33, 0xff, 0, 0, 2}
		a.send(t, ethernet(group, a.MAC, typeIPv6, icmp6(a.Addresses[1], addr("ff02::1:ff00:2"), neighborSolicitation, b.Addresses[1], 1, a.MAC)))
		eth := a.next(t)[headerLen:]
		m := verify(t, eth)
		if [6]byte(eth) != a.MAC || [6]byte(eth[6:]) != b.MAC || len(eth) != advertisementLen {
			t.Fatalf("addressed wrongly: %x", eth)
		}
		if ip := eth[ethLen:]; netip.AddrFrom16([16]byte(ip[8:24])) != b.Addresses[1] || netip.AddrFrom16([16]byte(ip[24:40])) != a.Addresses[1] || ip[7] != 255 {
			t.Fatalf("IPv6 header is wrong: %x", ip[:40])
		}
		flags := byte(0x60)
		if gateway {
			flags = 0xe0
		}
		if m[0] != neighborAdvertisement || m[1] != 0 || m[4] != flags || netip.AddrFrom16([16]byte(m[8:24])) != b.Addresses[1] ||
			m[24] != 2 || m[25] != 1 || [6]byte(m[26:32]) != b.MAC {
			t.Fatalf("advertisement is wrong: %x", m)
		}
		b.silent(t)
	}
}

// TestProbesAreNotAnswered: whoever has the address answers them, by the way of OVS.
func TestProbesAreNotAnswered(t *testing.T) {
	a, b := host(1), host(2)
	group := [6]byte{0x33, 0x33, 0xff, 0, 0, 2}
	for name, frame := range map[string][]byte{
		"ARP probe":          ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, addr("0.0.0.0"), b.Addresses[0])),
		"ARP announcement":   ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], a.Addresses[0])),
		"ARP for a stranger": ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], addr("10.0.0.77"))),
		"duplicates":         ethernet(group, a.MAC, typeIPv6, icmp6(addr("::"), addr("ff02::1:ff00:2"), neighborSolicitation, b.Addresses[1], 0, a.MAC)),
		"stranger":           ethernet(group, a.MAC, typeIPv6, icmp6(a.Addresses[1], addr("ff02::1:ff00:77"), neighborSolicitation, addr("fd00::77"), 1, a.MAC)),
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t)
			ovs, from := n.ovs(), n.endpoint(a)
			n.endpoint(b)
			from.send(t, frame)
			if got := ovs.next(t); !bytes.Equal(got, tagged(frame, a.OVSTag)) {
				t.Fatalf("got %x, want %x", got, frame)
			}
			from.silent(t)
		})
	}
}

func TestIsolatedNetworkAnswersForTheGatewayAlone(t *testing.T) {
	n := newNet(t, func(n *Network) { n.Isolated = true })
	a, g := n.endpoint(host(1)), n.endpoint(gatewayHost(9))
	n.endpoint(host(2))
	a.send(t, ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], host(2).Addresses[0])))
	n.dropped(t, "no_ovs", 1)
	a.silent(t)
	a.send(t, ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], g.Addresses[0])))
	a.next(t)
	g.send(t, ethernet(broadcast, g.MAC, typeARP, arp(1, g.MAC, g.Addresses[0], a.Addresses[0])))
	g.next(t)
}
