package uplink

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// counters tell what was carried and refused.
type counters struct {
	tcp, udp, dns, echo             atomic.Uint64
	forbidden, full, icmp, unusable atomic.Uint64
}

func (c *counters) add(n *atomic.Uint64) { n.Add(1) }

func (c *counters) all() map[string]uint64 {
	return map[string]uint64{
		"uplink_tcp": c.tcp.Load(), "uplink_udp": c.udp.Load(), "uplink_dns": c.dns.Load(), "uplink_echo": c.echo.Load(),
		"uplink_forbidden": c.forbidden.Load(), "uplink_full": c.full.Load(),
		"uplink_icmp_dropped": c.icmp.Load(), "uplink_unreachable": c.unusable.Load(),
	}
}

// places bounds something in all and for each source.
type places struct {
	limit, each int

	mu    sync.Mutex
	taken int
	by    map[netip.Addr]int
}

// take takes a place, or tells that there is none.
func (p *places) take(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.limit || p.by[a] >= p.each {
		return false
	}
	if p.by == nil {
		p.by = map[netip.Addr]int{}
	}
	p.taken++
	p.by[a]++
	return true
}

func (p *places) leave(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[a]--; p.by[a] == 0 {
		delete(p.by, a)
	}
}
