package relay

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
)

// maxFlows of one portal.
const maxFlows = 1 << 16

// Flow is a connection of a portal, or what stands for one in UDP.
type Flow struct {
	Protocol         uint8 // 6: TCP, 17: UDP.
	Remote, Endpoint netip.AddrPort
}

// flows is a hash table that is read without a lock: its chains are never changed, only replaced.
type flows struct {
	buckets atomic.Pointer[[4096]atomic.Pointer[flowNode]] // nil until first needed.

	mu    sync.Mutex
	count int
}

type flowNode struct {
	flow Flow
	uses int // by whom the whole pair of addresses is named, for fragments.
	next *flowNode
}

func (f Flow) hash() uint32 {
	a, b := f.Remote.Addr().As16(), f.Endpoint.Addr().As16()
	h := binary.LittleEndian.Uint64(a[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(a[8:])
	h = (h^h>>29)*0xbf58476d1ce4e5b9 ^ binary.LittleEndian.Uint64(b[:8])
	h = (h^h>>29)*0x94d049bb133111eb ^ binary.LittleEndian.Uint64(b[8:])
	h = (h^h>>29)*0x9e3779b97f4a7c15 ^ uint64(f.Remote.Port())<<32 ^ uint64(f.Endpoint.Port())<<8 ^ uint64(f.Protocol)
	h = (h ^ h>>31) * 0xbf58476d1ce4e5b9
	return uint32(h>>40) & 4095
}

// pair is the flow without its ports, under which fragments are found.
func (f Flow) pair() Flow {
	f.Remote, f.Endpoint = netip.AddrPortFrom(f.Remote.Addr(), 0), netip.AddrPortFrom(f.Endpoint.Addr(), 0)
	return f
}

func (t *flows) has(f Flow) bool {
	b := t.buckets.Load()
	if b == nil {
		return false
	}
	for n := b[f.hash()].Load(); n != nil; n = n.next {
		if n.flow == f {
			return true
		}
	}
	return false
}

func (t *flows) any() bool { return t.buckets.Load() != nil }

// add tells whether there was room.
func (t *flows) add(f Flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.has(f) {
		return true
	}
	if t.count >= maxFlows {
		return false
	}
	if t.buckets.Load() == nil {
		t.buckets.Store(new([4096]atomic.Pointer[flowNode]))
	}
	t.count++
	t.use(f, 1)
	t.use(f.pair(), 1)
	return true
}

func (t *flows) remove(f Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.has(f) {
		return
	}
	t.count--
	t.use(f, -1)
	t.use(f.pair(), -1)
}

// use changes how often a flow is used; one that is used no more goes.
func (t *flows) use(f Flow, by int) {
	bucket := &t.buckets.Load()[f.hash()]
	var chain *flowNode
	uses := by
	for n := bucket.Load(); n != nil; n = n.next {
		if n.flow == f {
			uses += n.uses
			continue
		}
		chain = &flowNode{flow: n.flow, uses: n.uses, next: chain}
	}
	if uses > 0 {
		chain = &flowNode{flow: f, uses: uses, next: chain}
	}
	bucket.Store(chain)
}

// flowOf reads the flow of a packet that an endpoint sends: of a fragment that is not the first, the pair.
func flowOf(eth []byte) (Flow, bool) {
	var f Flow
	var remote, endpoint netip.Addr
	var at int
	var fragment bool
	p := eth[ethLen:]
	switch etherType(eth) {
	case typeIPv4:
		if len(p) < 20 {
			return f, false
		}
		endpoint, remote = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
		f.Protocol = p[9]
		at = int(p[0]&0xf) * 4
		fragment = binary.BigEndian.Uint16(p[6:8])&0x1fff != 0
	case typeIPv6:
		if len(p) < 40 {
			return f, false
		}
		endpoint, remote = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		f.Protocol = protoTCP
		if at, fragment = transport(p, protoTCP); at == 0 && !fragment {
			f.Protocol = protoUDP
			at, fragment = transport(p, protoUDP)
		}
	default:
		return f, false
	}
	if f.Protocol != protoTCP && f.Protocol != protoUDP {
		return f, false
	}
	if fragment {
		f.Remote, f.Endpoint = netip.AddrPortFrom(remote, 0), netip.AddrPortFrom(endpoint, 0)
		return f, true
	}
	if at < 20 || at+4 > len(p) {
		return f, false
	}
	f.Endpoint = netip.AddrPortFrom(endpoint, binary.BigEndian.Uint16(p[at:]))
	f.Remote = netip.AddrPortFrom(remote, binary.BigEndian.Uint16(p[at+2:]))
	return f, true
}
