package relay

import (
	"encoding/binary"
	"sync"
)

// Sizes of what stands in a buffer.
const (
	headerLen  = 12 // struct virtio_net_hdr_v1.
	ethLen     = 14
	tagLen     = 4
	maxPayload = 65535
	headroom   = 64 // for the header and a tag; the frame that was read begins here.
	bufferLen  = headroom + ethLen + 2*tagLen + maxPayload + 1<<10
)

// Ethernet types.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeVLAN = 0x8100
	typeIPv6 = 0x86dd
	typeQinQ = 0x88a8
)

// Fields of a virtio_net_hdr.
const (
	flagNeedsChecksum = 1
	segmentNone       = 0
	segmentTCPv4      = 1
	segmentTCPv6      = 4
	segmentECN        = 0x80

	minSegment = 8 // the smallest payload of a segment, as Linux has it: a guest chooses it.
)

// frame is an Ethernet frame in a buffer: data[start:end], without a tag, behind a virtio_net_hdr_v1 of headerLen bytes.
type frame struct {
	start, end int
	data       [bufferLen]byte
}

var frames = sync.Pool{New: func() any { return new(frame) }}

func (f *frame) len() int       { return f.end - f.start }
func (f *frame) bytes() []byte  { return f.data[f.start:f.end] }
func (f *frame) header() header { return header(f.data[f.start-headerLen : f.start]) }

// etherType of a frame of at least ethLen bytes.
func etherType(eth []byte) uint16 { return binary.BigEndian.Uint16(eth[12:14]) }

// adopt takes n bytes that were read into data[headroom-vnet:] for a frame.
func (f *frame) adopt(vnet, n int) cause {
	f.start, f.end = headroom, headroom-vnet+n
	if n > len(f.data)-headroom+vnet-1 {
		return giant
	}
	if f.len() < ethLen {
		return runt
	}
	h := f.data[headroom-headerLen : headroom]
	switch vnet {
	case headerLen:
	case headerLen - 2:
		copy(h, h[2:])
		h[10], h[11] = 0, 0
	default:
		clear(h)
	}
	return carried
}

// untag takes the tag out of the frame and tells it.
func (f *frame) untag() (uint16, cause) {
	eth := f.bytes()
	if len(eth) < ethLen+tagLen || etherType(eth) != typeVLAN {
		return 0, badTag
	}
	tag := binary.BigEndian.Uint16(eth[14:16]) & 0xfff
	if inner := binary.BigEndian.Uint16(eth[16:18]); inner == typeVLAN || inner == typeQinQ {
		return 0, doubleTag
	}
	at := f.start - headerLen
	copy(f.data[at+tagLen:at+tagLen+headerLen+12], f.data[at:at+headerLen+12])
	f.start += tagLen
	return tag, f.header().shift(-tagLen)
}

// tag puts a tag into the frame.
func (f *frame) tag(tag uint16) {
	at := f.start - headerLen
	copy(f.data[at-tagLen:], f.data[at:at+headerLen+12])
	f.start -= tagLen
	binary.BigEndian.PutUint16(f.data[f.start+12:], typeVLAN)
	binary.BigEndian.PutUint16(f.data[f.start+14:], tag)
	f.header().shift(tagLen)
}

// out is what a link with vnet bytes of header takes.
func (f *frame) out(vnet int) []byte {
	if vnet == headerLen-2 {
		at := f.start - headerLen
		copy(f.data[at+2:f.start], f.data[at:f.start-2])
	}
	return f.data[f.start-vnet : f.end]
}

// header is a virtio_net_hdr_v1, little endian as all machines are that this runs on.
type header []byte

func (h header) needsChecksum() bool { return h[0]&flagNeedsChecksum != 0 }
func (h header) segment() byte       { return h[1] &^ segmentECN }
func (h header) segmentSize() int    { return int(binary.LittleEndian.Uint16(h[4:6])) }
func (h header) checksumStart() int  { return int(binary.LittleEndian.Uint16(h[6:8])) }
func (h header) checksumAt() int {
	return h.checksumStart() + int(binary.LittleEndian.Uint16(h[8:10]))
}

// shift moves what the header points to by n bytes: a tag came or went.
func (h header) shift(n int) cause {
	if !h.needsChecksum() {
		return carried
	}
	start := h.checksumStart() + n
	if start < ethLen {
		return badHeader
	}
	binary.LittleEndian.PutUint16(h[6:8], uint16(start))
	if length := int(binary.LittleEndian.Uint16(h[2:4])); length != 0 {
		binary.LittleEndian.PutUint16(h[2:4], uint16(max(length+n, 0)))
	}
	return carried
}

// check tells whether the header fits an untagged frame of length bytes, and forgets what no receiver shall believe.
func (h header) check(length int) bool {
	h[0] &= flagNeedsChecksum
	h[10], h[11] = 0, 0
	if h.needsChecksum() && (h.checksumStart() < ethLen || h.checksumAt()+2 > length) {
		return false
	}
	switch h.segment() {
	case segmentNone:
		h[1] = 0
		h[4], h[5] = 0, 0
		return true
	case segmentTCPv4, segmentTCPv6:
		return h.needsChecksum() && h.segmentSize() >= minSegment && h.checksumAt() == h.checksumStart()+16
	}
	return false
}

// tooBig tells whether a link of that MTU cannot carry the untagged frame.
func (f *frame) tooBig(mtu int) bool {
	return exceeds(f.header(), f.len(), mtu)
}

func exceeds(h header, length, mtu int) bool {
	if h.segment() == segmentNone {
		return length-ethLen > mtu
	}
	// The headers of a segment are those of the whole.
	return h.segmentSize()+h.checksumStart()+20-ethLen > mtu
}
