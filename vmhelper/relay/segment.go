package relay

import (
	"encoding/binary"
)

// Flags of TCP that only some segments of a train carry.
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// maxHeaders of a segment: each of a train's carries them again, so a guest must not choose how much that is.
const maxHeaders = 512

// train is a TCP segment of up to 64 KiB that is being cut for a receiver that cannot do it itself.
type train struct {
	eth           []byte // with the headers and all payload, untagged.
	l3, l4, data  int    // where IP, TCP and the payload begin.
	size          int    // payload of a segment.
	v6            bool
	sequence      uint32
	ident         uint16
	flags         byte
	at            int // what was sent of the payload.
	segmentNumber int
}

// cut begins to cut a frame whose header was checked; false: its headers are not TCP's.
func (t *train) cut(h header, eth []byte) bool {
	*t = train{eth: eth, l3: ethLen, l4: h.checksumStart(), size: h.segmentSize(), v6: h.segment() == segmentTCPv6}
	least, want := t.l3+20, uint16(typeIPv4)
	if t.v6 {
		least, want = t.l3+40, typeIPv6
	}
	if etherType(eth) != want || t.l4 < least || t.l4+20 > len(eth) {
		return false
	}
	t.data = t.l4 + int(eth[t.l4+12]>>4)*4
	if t.data < t.l4+20 || t.data > len(eth) || t.data > maxHeaders {
		return false
	}
	if !t.v6 && (eth[t.l3]>>4 != 4 || t.l3+int(eth[t.l3]&0xf)*4 != t.l4) {
		return false
	}
	t.sequence = binary.BigEndian.Uint32(eth[t.l4+4:])
	t.flags = eth[t.l4+13]
	if !t.v6 {
		t.ident = binary.BigEndian.Uint16(eth[t.l3+4:])
	}
	return true
}

// next makes the next segment in f; false: there is none.
func (t *train) next(f *frame) bool {
	left := len(t.eth) - t.data - t.at
	if left <= 0 && t.segmentNumber > 0 {
		return false
	}
	n := min(left, t.size)
	f.start = headroom
	f.end = headroom + t.data + n
	clear(f.data[headroom-headerLen : headroom])
	eth := f.bytes()
	copy(eth, t.eth[:t.data])
	copy(eth[t.data:], t.eth[t.data+t.at:t.data+t.at+n])
	binary.BigEndian.PutUint32(eth[t.l4+4:], t.sequence+uint32(t.at))
	flags := t.flags
	if n < left {
		flags &^= tcpFIN | tcpPSH
	}
	if t.segmentNumber > 0 {
		flags &^= tcpCWR
	}
	eth[t.l4+13] = flags
	t.checksums(eth)
	t.at += n
	t.segmentNumber++
	return true
}

func (t *train) checksums(eth []byte) {
	tcp := eth[t.l4:]
	var acc uint64
	if t.v6 {
		binary.BigEndian.PutUint16(eth[t.l3+4:], uint16(len(eth)-t.l3-40))
		acc = pseudo(eth[t.l3+8:t.l3+40], protoTCP, len(tcp))
	} else {
		ip := eth[t.l3:t.l4]
		binary.BigEndian.PutUint16(ip[2:], uint16(len(eth)-t.l3))
		binary.BigEndian.PutUint16(ip[4:], t.ident+uint16(t.segmentNumber))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip, 0)))
		acc = pseudo(ip[12:20], protoTCP, len(tcp))
	}
	tcp[16], tcp[17] = 0, 0
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(tcp, acc)))
}
