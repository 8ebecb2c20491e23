package uplink

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// netsLife is how long the host's addresses are believed.
const netsLife = time.Second

// hostNets are the host's own addresses with their subnets.
type hostNets struct {
	mu    sync.Mutex
	asked time.Time
	all   []netip.Prefix
}

func (h *hostNets) list() []netip.Prefix {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all != nil && time.Since(h.asked) < netsLife {
		return h.all
	}
	as, err := net.InterfaceAddrs()
	if err != nil {
		return h.all // What was known holds.
	}
	all := make([]netip.Prefix, 0, len(as))
	for _, a := range as {
		if n, ok := a.(*net.IPNet); ok {
			ip, ok := netip.AddrFromSlice(n.IP)
			if ones, _ := n.Mask.Size(); ok {
				all = append(all, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
	}
	h.all, h.asked = all, time.Now()
	return all
}

// has tells whether an address is one of the host.
func (h *hostNets) has(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, p := range h.list() {
		if p.Addr() == ip {
			return true
		}
	}
	return false
}

// broadcast tells whether an address is the broadcast address of a subnet of the host.
func (h *hostNets) broadcast(ip netip.Addr) bool {
	if !ip.Is4() {
		return false
	}
	for _, p := range h.list() {
		if !p.Addr().Is4() || p.Bits() > 30 || !p.Contains(ip) {
			continue
		}
		a := ip.As4()
		if rest := uint32(1)<<(32-p.Bits()) - 1; binary.BigEndian.Uint32(a[:])&rest == rest {
			return true
		}
	}
	return false
}
