package relay

// ingress takes a frame that was read from l: adopted, with its tag still in it on a trunk.
func (r *Relay) ingress(l *link, f *frame) {
	if w := l.jack.wire.Load(); w != nil {
		w.arrived(l, f)
		return
	}
	s := r.snapshot.Load()
	if l.seen != s {
		l.seen, l.view = s, s.views[l.jack]
	}
	v := l.view
	switch {
	case v == nil:
		r.totals.add(unknownEndpoint)
	case v.ovs:
		r.fromOVS(s, l, f)
	case v.untagged != nil:
		r.switchFrame(s, l, v.untagged, f)
	default:
		tag, why := f.untag()
		if p := v.tagged[tag]; why == carried && p != nil {
			r.switchFrame(s, l, p, f)
			return
		}
		if why == carried {
			why = badTag
		}
		r.totals.add(why)
	}
}

// fromOVS carries a frame of the trunk to the endpoint that its tag says, and to no other.
func (r *Relay) fromOVS(s *snapshot, l *link, f *frame) {
	tag, why := f.untag()
	if why == carried && !f.header().check(f.len()) {
		why = badHeader
	}
	if why == carried && f.tooBig(l.mtu) {
		why = giant
	}
	if why != carried {
		r.totals.add(why)
		return
	}
	p := s.byTag[tag]
	if p == nil {
		r.totals.add(badTag)
		return
	}
	r.deliver(p, f)
}

// switchFrame decides what becomes of a frame of the endpoint p.
func (r *Relay) switchFrame(s *snapshot, l *link, p *port, f *frame) {
	why := r.checkFrame(l, p, f)
	if why == carried {
		p.sent(f.len())
		why = r.forward(s, p, f)
	}
	if why != carried {
		p.txDropped.Add(1)
		r.totals.add(why)
	}
}

func (r *Relay) checkFrame(l *link, p *port, f *frame) cause {
	if !f.header().check(f.len()) {
		return badHeader
	}
	if f.tooBig(l.mtu) {
		return giant
	}
	return p.checkSource(f.bytes())
}

// forward carries a frame whose sender was checked.
func (r *Relay) forward(s *snapshot, p *port, f *frame) cause {
	if f.answer(p) {
		r.deliver(p, f)
		return carried
	}
	eth := f.bytes()
	q := p.domain.byMAC[[6]byte(eth[:6])]
	switch {
	case q == nil: // Also broadcasts and multicasts: no endpoint has such an address.
		if !p.slow.allow(monotonic()) {
			return flood
		}
		return r.toOVS(s, p, f, unknownEndpoint)
	case q == p:
		return loop
	case q.gateway:
		if portal := p.domain.portal; portal != nil && portal.takes(eth) {
			portal.arrived(f)
			return carried
		}
	case p.gateway:
	case p.domain.isolated:
		return isolated
	case p.domain.inspected:
		return r.toOVS(s, p, f, noOVS)
	}
	r.deliver(q, f)
	return carried
}

// toOVS carries a frame to the trunk of OVS. OVS reads it from a packet socket, which knows neither checksums that
// are still to be completed nor segments that are still to be cut.
func (r *Relay) toOVS(s *snapshot, p *port, f *frame, unless cause) cause {
	if s.ovs == nil || p.ovsTag == 0 {
		if f.bytes()[0]&1 != 0 {
			return noOVS
		}
		return unless
	}
	return r.output(s.ovs, f, p.ovsTag, true)
}

// deliver writes a frame to an endpoint.
func (r *Relay) deliver(q *port, f *frame) {
	n := f.len()
	why := r.output(q.jack, f, q.tag, false)
	q.received(n, why)
	if why != carried {
		r.totals.add(why)
	}
}
