package relay

import (
	"encoding/binary"
	"net/netip"
)

// arpForm begins every ARP packet for IPv4 over Ethernet.
var arpForm = []byte{0, 1, 8, 0, 6, 4}

// Sizes of answers.
const (
	arpLen           = ethLen + 28
	advertisementLen = ethLen + 40 + 32
)

// answer makes the answer to a question for a known address, in place; false: the frame is no such question.
func (f *frame) answer(p *port) bool {
	eth := f.bytes()
	switch etherType(eth) {
	case typeARP:
		return f.answerARP(p, eth)
	case typeIPv6:
		return f.answerSolicitation(p, eth)
	}
	return false
}

// known finds the endpoint that owns an address which p asks for.
func (p *port) known(a netip.Addr) *port {
	q := p.domain.byAddress[a]
	if q == nil || q == p || p.domain.isolated && !p.gateway && !q.gateway {
		return nil
	}
	return q
}

func (f *frame) answerARP(p *port, eth []byte) bool {
	if len(eth) < arpLen || eth[21] != 1 || eth[20] != 0 {
		return false
	}
	arp := eth[ethLen:]
	sender, target := [4]byte(arp[14:18]), [4]byte(arp[24:28])
	if sender == [4]byte{} || sender == target {
		return false // A probe or an announcement: whoever has the address shall see it.
	}
	q := p.known(netip.AddrFrom4(target))
	if q == nil {
		return false
	}
	f.reply(p, q, arpLen)
	arp[7] = 2
	copy(arp[18:24], p.mac[:])
	copy(arp[24:28], sender[:])
	copy(arp[8:14], q.mac[:])
	copy(arp[14:18], target[:])
	return true
}

func (f *frame) answerSolicitation(p *port, eth []byte) bool {
	if len(eth) < ethLen+40+24 {
		return false
	}
	ip := eth[ethLen:]
	m := ip[40:]
	if ip[6] != protoICMPv6 || ip[7] != 255 || m[0] != neighborSolicitation || m[1] != 0 {
		return false
	}
	source, target := [16]byte(ip[8:24]), [16]byte(m[8:24])
	if source == [16]byte{} {
		return false // A probe for duplicates.
	}
	q := p.known(netip.AddrFrom16(target))
	if q == nil {
		return false
	}
	f.reply(p, q, advertisementLen)
	ip, m = f.bytes()[ethLen:], f.bytes()[ethLen+40:]
	clear(ip[:4])
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], 32)
	copy(ip[8:24], target[:])
	copy(ip[24:40], source[:])
	clear(m[:8])
	m[0] = neighborAdvertisement
	m[4] = 0x60 // Solicited, overrides.
	if q.gateway {
		m[4] |= 0x80 // Router.
	}
	copy(m[8:24], target[:])
	m[24], m[25] = 2, 1 // The target's link-layer address.
	copy(m[26:32], q.mac[:])
	binary.BigEndian.PutUint16(m[2:], ^fold(sum(m[:32], pseudo(ip[8:40], protoICMPv6, 32))))
	return true
}

// reply makes the frame one of n bytes from q to p.
func (f *frame) reply(p, q *port, n int) {
	f.end = f.start + n
	clear(f.header())
	eth := f.bytes()
	copy(eth[:6], p.mac[:])
	copy(eth[6:12], q.mac[:])
}
