package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// VnetHeader is the size of virtio_net_hdr_v1 before each frame.
const VnetHeader = 12

// What a virtio_net_hdr says.
// https://docs.oasis-open.org/virtio/virtio/v1.2/csd01/virtio-v1.2-csd01.html#x1-2340006
const (
	flagNeedsChecksum = 1

	segmentTCP4 = 1
	segmentTCP6 = 4
	segmentUDP  = 5 // UDP_L4: each segment is a datagram of its own.
	segmentECN  = 0x80
)

const etherSize = header.EthernetMinimumSize

// maxFrame is the largest frame: an IPv4 packet of 65535 bytes, or an IPv6 packet with as much payload.
const maxFrame = VnetHeader + etherSize + header.IPv6MinimumSize + 65535

// putHeader writes the header of an outgoing packet to b.
func putHeader(b []byte, pkt *stack.PacketBuffer) {
	clear(b[:VnetHeader])
	gso := &pkt.GSOOptions
	if gso.Type == stack.GSONone {
		return
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(pkt.HeaderSize()))
	if gso.NeedsCsum {
		b[0] = flagNeedsChecksum
		binary.LittleEndian.PutUint16(b[6:], etherSize+gso.L3HdrLen)
		binary.LittleEndian.PutUint16(b[8:], gso.CsumOffset)
	}
	if pkt.Data().Size() <= int(gso.MSS) {
		return
	}
	switch gso.Type {
	case stack.GSOTCPv4:
		b[1] = segmentTCP4
	case stack.GSOTCPv6:
		b[1] = segmentTCP6
	}
	binary.LittleEndian.PutUint16(b[4:], gso.MSS)
}

// datagrams calls f for each datagram of a frame that carries several in one, as a header with segmentUDP says. packet is
// what comes after the ethernet header; size is the payload of each. What is malformed yields nothing.
func datagrams(packet []byte, size int, f func(packet []byte)) {
	network, length := 0, 0 // the header's length, and where the packet's own is written.
	switch {
	case len(packet) >= header.IPv4MinimumSize && packet[0]>>4 == 4:
		network, length = int(packet[0]&15)*4, 2
	case len(packet) >= header.IPv6MinimumSize && packet[0]>>4 == 6 && packet[6] == uint8(header.UDPProtocolNumber):
		network, length = header.IPv6MinimumSize, 4
	}
	first := network + header.UDPMinimumSize
	if network < header.IPv4MinimumSize || len(packet) < first || size <= 0 {
		return
	}
	for payload := packet[first:]; len(payload) > 0; {
		n := min(size, len(payload))
		one := make([]byte, first+n)
		copy(one, packet[:first])
		copy(one[first:], payload[:n])
		payload = payload[n:]
		total := len(one)
		if length == 4 {
			total -= header.IPv6MinimumSize
		}
		binary.BigEndian.PutUint16(one[length:], uint16(total))
		binary.BigEndian.PutUint16(one[network+4:], uint16(header.UDPMinimumSize+n))
		f(one)
	}
}
