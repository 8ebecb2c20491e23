package relay

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

var broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func arp(op byte, senderMAC [6]byte, sender netip.Addr, target netip.Addr) []byte {
	p := append([]byte{}, arpForm...)
	p = append(p, 0, op)
	p = append(p, senderMAC[:]...)
	p = append(p, sender.AsSlice()...)
	p = append(p, 0, 0, 0, 0, 0, 0)
	return append(p, target.AsSlice()...)
}

func icmp6(src, dst netip.Addr, kind byte, target netip.Addr, option byte, mac [6]byte) []byte {
	m := make([]byte, 8, 32)
	m[0] = kind
	m = append(m, target.AsSlice()...)
	if option != 0 {
		m = append(m, option, 1)
		m = append(m, mac[:]...)
	}
	binary.BigEndian.PutUint16(m[2:], ^slowSum(append(pseudoHeader(src, dst, protoICMPv6, len(m)), m...)))
	return ip6(src, dst, protoICMPv6, m)
}

// TestSources sends frames of endpoint 1 (10.0.0.1, fd00::1) to endpoint 2 or to all; other endpoints are 3 and the
// gateway 9.
func TestSources(t *testing.T) {
	a, b, gateway := host(1), host(2), gatewayHost(9)
	v4 := func(src string) []byte {
		return ethernet(b.MAC, a.MAC, typeIPv4, ip4(addr(src), b.Addresses[0], 99, nil))
	}
	v6 := func(src string) []byte {
		return ethernet(b.MAC, a.MAC, typeIPv6, ip6(addr(src), b.Addresses[1], 99, nil))
	}
	neighbor := func(kind byte, target string, option byte, mac [6]byte) []byte {
		return ethernet(b.MAC, a.MAC, typeIPv6, icmp6(a.Addresses[1], b.Addresses[1], kind, addr(target), option, mac))
	}
	extended := func(next byte, chain ...byte) []byte {
		return ethernet(b.MAC, a.MAC, typeIPv6, ip6(a.Addresses[1], b.Addresses[1], next, chain))
	}
	for _, c := range []struct {
		name   string
		frame  []byte
		change func(*Endpoint)
		want   string // "": it arrives at b.
	}{
		{name: "own", frame: v4("10.0.0.1")},
		{name: "own IPv6", frame: v6("fd00::1")},
		{name: "other's MAC", frame: ethernet(b.MAC, [6]byte{2, 0, 0, 0, 0, 3}, typeIPv4, ip4(a.Addresses[0], b.Addresses[0], 99, nil)), want: "spoofed_mac"},
		{name: "other's address", frame: v4("10.0.0.3"), want: "spoofed_address"},
		{name: "gateway's address", frame: v4("10.0.0.9"), want: "spoofed_address"},
		{name: "unassigned", frame: v4("10.0.0.77"), want: "spoofed_address"},
		{name: "unassigned, allowed", frame: v4("10.0.0.77"), change: func(e *Endpoint) { e.AnySource = true }},
		{name: "other's, not allowed", frame: v4("10.0.0.3"), change: func(e *Endpoint) { e.AnySource = true }, want: "spoofed_address"},
		{name: "foreign", frame: v4("192.0.2.1"), change: func(e *Endpoint) { e.AnySource = true }, want: "spoofed_address"},
		{name: "none", frame: v4("0.0.0.0"), want: "spoofed_address"},
		{name: "gateway may all", frame: v4("192.0.2.1"), change: func(e *Endpoint) { e.Gateway = true }},
		{name: "gateway's MAC", frame: ethernet(b.MAC, b.MAC, typeIPv4, ip4(a.Addresses[0], b.Addresses[0], 99, nil)), change: func(e *Endpoint) { e.Gateway = true }, want: "spoofed_mac"},
		{name: "other's IPv6", frame: v6("fd00::3"), want: "spoofed_address"},
		{name: "unassigned IPv6", frame: v6("fd00::77"), want: "spoofed_address"},
		{name: "unassigned IPv6, allowed", frame: v6("fd00::77"), change: func(e *Endpoint) { e.AnySource = true }},
		{name: "link-local", frame: v6("fe80::1234")},
		{name: "unspecified unicast", frame: v6("::"), want: "spoofed_address"},
		{name: "short IPv4", frame: ethernet(b.MAC, a.MAC, typeIPv4, make([]byte, 19)), want: "runt"},
		{name: "IPv6 as IPv4", frame: ethernet(b.MAC, a.MAC, typeIPv4, make([]byte, 40)), want: "runt"},
		{name: "short IPv6", frame: ethernet(b.MAC, a.MAC, typeIPv6, make([]byte, 39)), want: "runt"},
		{name: "short ARP", frame: ethernet(b.MAC, a.MAC, typeARP, make([]byte, 27)), want: "runt"},
		{name: "ARP reply", frame: ethernet(b.MAC, a.MAC, typeARP, arp(2, a.MAC, a.Addresses[0], b.Addresses[0]))},
		{name: "ARP of another's address", frame: ethernet(b.MAC, a.MAC, typeARP, arp(2, a.MAC, addr("10.0.0.3"), b.Addresses[0])), want: "spoofed_address"},
		{name: "ARP of another's MAC", frame: ethernet(b.MAC, a.MAC, typeARP, arp(2, b.MAC, a.Addresses[0], b.Addresses[0])), want: "spoofed_mac"},
		{name: "ARP of another kind", frame: ethernet(b.MAC, a.MAC, typeARP, make([]byte, 28)), want: "runt"},
		{name: "advertisement", frame: neighbor(neighborAdvertisement, "fd00::1", 2, a.MAC)},
		{name: "advertisement of another's address", frame: neighbor(neighborAdvertisement, "fd00::3", 2, a.MAC), want: "spoofed_address"},
		{name: "advertisement of another's MAC", frame: neighbor(neighborAdvertisement, "fd00::1", 2, b.MAC), want: "spoofed_mac"},
		{name: "advertisement behind extensions", frame: extended(60, append([]byte{protoICMPv6, 0, 1, 4, 0, 0, 0, 0},
			append([]byte{neighborAdvertisement, 0, 0, 0, 0, 0, 0, 0}, addr("fd00::3").AsSlice()...)...)...), want: "spoofed_address"},
		{name: "solicitation with another's MAC", frame: neighbor(neighborSolicitation, "fd00::77", 1, b.MAC), want: "spoofed_mac"},
		{name: "router advertisement", frame: neighbor(routerAdvertisement, "fd00::1", 0, a.MAC), want: "spoofed_router"},
		{name: "redirect", frame: neighbor(redirect, "fd00::1", 0, a.MAC), want: "spoofed_router"},
		{name: "router advertisement of a gateway", frame: neighbor(routerAdvertisement, "fd00::1", 0, a.MAC), change: func(e *Endpoint) { e.Gateway = true }},
		{name: "short advertisement", frame: extended(protoICMPv6, neighborAdvertisement, 0, 0, 0), want: "runt"},
		{name: "endless extensions", frame: extended(0, make([]byte, 8*12)...)},
		{name: "tag", frame: tagged(v4("10.0.0.1"), 5), want: "double_tag"},
		{name: "other protocol", frame: ethernet(b.MAC, a.MAC, 0x88b5, []byte("hello"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t)
			e := a
			if c.change != nil {
				c.change(&e)
			}
			from, to := n.endpoint(e), n.endpoint(b)
			n.endpoint(host(3))
			if !e.Gateway {
				n.endpoint(gateway)
			}
			from.send(t, c.frame)
			if c.want == "" {
				to.next(t)
				return
			}
			n.dropped(t, c.want, 1)
			to.silent(t)
			if got, _ := n.Counters("e1"); got[0].TxDropped != 1 {
				t.Fatalf("counters: %+v", got)
			}
		})
	}
}
