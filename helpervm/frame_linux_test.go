package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// place is an endpoint as the tests speak for it.
type place struct {
	id  string
	mac net.HardwareAddr
	ip  netip.Addr
	tag uint16
}

// id64 is a number as an ID.
func id64(kind byte, n int) string {
	return fmt.Sprintf("%c%011x%s", kind, n, strings.Repeat("0", 52))
}

func newPlace(network, n int, ip string) place {
	return place{id: id64('e', network<<16|n), mac: net.HardwareAddr{2, 0x42, byte(network >> 8), byte(network), byte(n >> 8), byte(n)}, ip: netip.MustParseAddr(ip), tag: uint16(network*16 + n)}
}

func (p place) endpoint(network string) *networkv1.Endpoint {
	return &networkv1.Endpoint{Id: p.id, NetworkId: network, Generation: 1, Mac: p.mac, Addresses: []string{p.ip.String()}, OvsTag: uint32(p.tag)}
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (p place) frame(to net.HardwareAddr, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, to...), p.mac...)
	b = binary.BigEndian.AppendUint16(b, 0x8100)
	b = binary.BigEndian.AppendUint16(b, p.tag)
	b = binary.BigEndian.AppendUint16(b, kind)
	return append(b, payload...)
}

// asks is an ARP request for an address.
func (p place) asks(ip netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	b = append(append(b, p.mac...), p.ip.AsSlice()...)
	b = append(append(b, 0, 0, 0, 0, 0, 0), ip.AsSlice()...)
	return p.frame(broadcast, 0x0806, b)
}

// udp is a datagram from p to another place.
func (p place) udp(to place, from, port uint16) []byte {
	return p.ip4(to, 17, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), port), 8), 0))
}

// tcp is a segment with flags.
func (p place) tcp(to place, from, port uint16, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[0:], from)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13] = 5<<4, flags
	return p.ip4(to, 6, b)
}

func (p place) ip4(to place, protocol byte, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	b = append(append(b, p.ip.AsSlice()...), to.ip.AsSlice()...)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return p.frame(to.mac, 0x0800, append(b, payload...))
}

// from tells whether a frame comes from a place and goes to the VLAN of another.
func from(p, to place) func([]byte) bool {
	return func(f []byte) bool {
		return len(f) >= 18 && bytes.Equal(f[6:12], p.mac) && binary.BigEndian.Uint16(f[12:]) == 0x8100 && binary.BigEndian.Uint16(f[14:])&0xfff == to.tag
	}
}
