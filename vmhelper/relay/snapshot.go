package relay

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// snapshot is the table as frames see it. It is never changed.
type snapshot struct {
	views    map[*jack]*view
	networks map[string]*domain
	byTag    map[uint16]*port // by VLAN on the trunk of OVS.
	ovs      *jack            // nil: there is none.
}

// view is what stands behind a link.
type view struct {
	ovs      bool
	untagged *port
	tagged   map[uint16]*port
}

// domain is a network.
type domain struct {
	isolated, inspected bool
	subnets             []netip.Prefix
	byMAC               map[[6]byte]*port
	byAddress           map[netip.Addr]*port
	gateway             *port   // nil: there is none.
	portal              *Portal // nil: nobody asked for it.
}

// port is an endpoint.
type port struct {
	id        string
	domain    *domain
	jack      *jack
	tag       uint16
	ovsTag    uint16
	mac       [6]byte
	addresses []netip.Addr
	gateway   bool
	anySource bool
	*counters
}

// jack is where a link is plugged in: it is there as long as a link, an entry of the table or a Wire names it.
type jack struct {
	key  LinkKey
	link atomic.Pointer[link] // nil: not attached.
	wire atomic.Pointer[Wire] // nil: the link takes part in switching.
}

// build makes the snapshot of t. The relay's lock is held.
func (r *Relay) build(t *table) *snapshot {
	s := &snapshot{
		views: map[*jack]*view{}, networks: make(map[string]*domain, len(t.networks)), byTag: make(map[uint16]*port, len(t.endpoints)),
	}
	counted := make(map[string]*counters, len(t.endpoints))
	used := make(map[*jack]bool, len(t.endpoints))
	for id, n := range t.networks {
		s.networks[id] = &domain{
			isolated: n.Isolated, inspected: n.Inspected, subnets: n.Subnets, portal: r.portals[id],
			byMAC: map[[6]byte]*port{}, byAddress: map[netip.Addr]*port{},
		}
	}
	for id, e := range t.endpoints {
		d := s.networks[e.Network]
		p := &port{
			id: id, domain: d, jack: r.jackLocked(e.Link), tag: e.Tag, ovsTag: e.OVSTag, mac: e.MAC, addresses: e.Addresses,
			gateway: e.Gateway, anySource: e.AnySource, counters: r.counted[id],
		}
		if p.counters == nil {
			p.counters = new(counters)
		}
		counted[id] = p.counters
		used[p.jack] = true
		s.add(p)
	}
	if t.hasOVS {
		s.ovs = r.jackLocked(t.ovs)
		used[s.ovs] = true
		s.views[s.ovs] = &view{ovs: true}
	}
	r.counted = counted
	for key, j := range r.jacks {
		if !used[j] && j.link.Load() == nil && j.wire.Load() == nil {
			delete(r.jacks, key)
		}
	}
	return s
}

func (s *snapshot) add(p *port) {
	p.domain.byMAC[p.mac] = p
	for _, a := range p.addresses {
		p.domain.byAddress[a] = p
	}
	if p.gateway {
		p.domain.gateway = p
	}
	if p.ovsTag != 0 {
		s.byTag[p.ovsTag] = p
	}
	v := s.views[p.jack]
	if v == nil {
		v = new(view)
		s.views[p.jack] = v
	}
	if p.tag == 0 {
		v.untagged = p
		return
	}
	if v.tagged == nil {
		v.tagged = map[uint16]*port{}
	}
	v.tagged[p.tag] = p
}

// maySend tells whether an endpoint may use the address as its own.
func (p *port) maySend(a netip.Addr) bool {
	if slices.Contains(p.addresses, a) {
		return true
	}
	if p.domain.byAddress[a] != nil {
		return false
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		return true
	}
	return p.anySource && slices.ContainsFunc(p.domain.subnets, func(n netip.Prefix) bool { return n.Contains(a) })
}
