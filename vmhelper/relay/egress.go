package relay

// output writes a frame to the link at j, with a tag unless it is 0. plain: without anything left to be done to it.
func (r *Relay) output(j *jack, f *frame, tag uint16, plain bool) cause {
	l := j.link.Load()
	if l == nil || !l.enter() {
		return noLink
	}
	why := l.send(f, tag, plain)
	l.leave()
	if why == queued {
		r.totals.add(queued)
		return carried
	}
	return why
}

// send makes a frame what the link accepts.
func (l *link) send(f *frame, tag uint16, plain bool) cause {
	if f.tooBig(l.mtu) {
		return giant
	}
	h := f.header()
	if h.segment() != segmentNone && (plain || !l.segments) {
		return l.sendSegments(f, tag)
	}
	if h.needsChecksum() && (plain || !l.checksums) {
		completeChecksum(h, f.bytes())
	}
	if tag != 0 {
		f.tag(tag)
	}
	return l.write(f.out(l.vnet))
}

func (l *link) sendSegments(f *frame, tag uint16) cause {
	var t train
	if !t.cut(f.header(), f.bytes()) {
		return unsegmented
	}
	part := frames.Get().(*frame)
	defer frames.Put(part)
	for t.next(part) {
		if tag != 0 {
			part.tag(tag)
		}
		if why := l.write(part.out(l.vnet)); why != carried && why != queued {
			return why
		}
	}
	return carried
}

// takes tells whether the link accepts a frame with this header as it is.
func (l *link) takes(h header) bool {
	return l.vnet == headerLen && (l.segments || h.segment() == segmentNone) && (l.checksums || !h.needsChecksum())
}
