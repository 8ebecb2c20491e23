package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Protocols and messages.
const (
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	routerAdvertisement   = 134
	neighborSolicitation  = 135
	neighborAdvertisement = 136
	redirect              = 137
)

// checkSource tells whether the endpoint may be the sender of the frame, in every place where a sender is named.
func (p *port) checkSource(eth []byte) cause {
	if [6]byte(eth[6:12]) != p.mac {
		return spoofedMAC
	}
	if p.gateway {
		return carried
	}
	body := eth[ethLen:]
	switch etherType(eth) {
	case typeIPv4:
		if len(body) < 20 || body[0]>>4 != 4 {
			return runt
		}
		a := netip.AddrFrom4([4]byte(body[12:16]))
		if a.IsUnspecified() && eth[0]&1 != 0 {
			return carried // DHCP and IGMP before there is an address.
		}
		if !p.maySend(a) {
			return spoofedAddress
		}
	case typeARP:
		return p.checkARP(body)
	case typeIPv6:
		return p.checkIPv6(eth, body)
	case typeVLAN, typeQinQ:
		return doubleTag
	}
	return carried
}

func (p *port) checkARP(arp []byte) cause {
	if len(arp) < 28 || !bytes.Equal(arp[:6], arpForm) {
		return runt
	}
	if [6]byte(arp[8:14]) != p.mac {
		return spoofedMAC
	}
	if a := netip.AddrFrom4([4]byte(arp[14:18])); !a.IsUnspecified() && !p.maySend(a) {
		return spoofedAddress
	}
	return carried
}

func (p *port) checkIPv6(eth, ip []byte) cause {
	if len(ip) < 40 || ip[0]>>4 != 6 {
		return runt
	}
	a := netip.AddrFrom16([16]byte(ip[8:24]))
	if a.IsUnspecified() {
		if eth[0]&1 == 0 {
			return spoofedAddress // Only probes for duplicates and reports of groups have none.
		}
	} else if !p.maySend(a) {
		return spoofedAddress
	}
	at := icmpv6(ip)
	if at == 0 || at+4 > len(ip) {
		return carried
	}
	m := ip[at:]
	switch m[0] {
	case routerAdvertisement, redirect:
		return spoofedRouter
	case neighborAdvertisement:
		if len(m) < 24 {
			return runt
		}
		if !p.maySend(netip.AddrFrom16([16]byte(m[8:24]))) {
			return spoofedAddress
		}
		return p.checkOptions(m[24:], 2)
	case neighborSolicitation:
		if len(m) < 24 {
			return runt
		}
		return p.checkOptions(m[24:], 1)
	}
	return carried
}

// checkOptions looks at the link-layer address that a neighbour message carries.
func (p *port) checkOptions(o []byte, kind byte) cause {
	for len(o) >= 8 {
		n := int(o[1]) * 8
		if n == 0 || n > len(o) {
			return runt
		}
		if o[0] == kind && [6]byte(o[2:8]) != p.mac {
			return spoofedMAC
		}
		o = o[n:]
	}
	return carried
}

// maxExtensions of an IPv6 packet are looked through; what hides a message behind more of them is not answered, and
// Linux takes none of them before a neighbour message's hop limit check either.
const maxExtensions = 8

// icmpv6 tells where the ICMPv6 message of an IPv6 packet begins; 0: there is none.
func icmpv6(ip []byte) int {
	at, _ := transport(ip, protoICMPv6)
	return at
}

// transport looks through extension headers for a protocol. fragment: the packet is a fragment that is not the first.
func transport(ip []byte, want uint8) (at int, fragment bool) {
	next, at := ip[6], 40
	for range maxExtensions {
		if next == want {
			return at, false
		}
		if at+8 > len(ip) {
			return 0, false
		}
		switch next {
		case 0, 43, 60: // Hop by hop, routing, destination.
			next, at = ip[at], at+8+int(ip[at+1])*8
		case 51: // Authentication.
			next, at = ip[at], at+8+int(ip[at+1])*4
		case 44:
			if binary.BigEndian.Uint16(ip[at+2:])&0xfff8 != 0 {
				return 0, ip[at] == want
			}
			next, at = ip[at], at+8
		default:
			return 0, false
		}
	}
	return 0, false
}
