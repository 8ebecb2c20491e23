package relay

import (
	"sync/atomic"
)

// Wire is the other end of a link inside this process: what the link sends arrives here, and nothing of it is switched.
type Wire struct {
	relay   *Relay
	jack    *jack
	deliver atomic.Pointer[func([]byte)]
}

// Wire joins the link, which need not be attached yet, with this process, point to point, until Release.
func (r *Relay) Wire(key LinkKey) *Wire {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.jackLocked(key)
	if w := j.wire.Load(); w != nil {
		return w
	}
	w := &Wire{relay: r, jack: j}
	j.wire.Store(w)
	return w
}

// Release gives the link back to the switch.
func (w *Wire) Release() {
	w.relay.mu.Lock()
	defer w.relay.mu.Unlock()
	w.jack.wire.CompareAndSwap(w, nil)
}

// Receive says who gets the frames, each with a virtio_net_hdr_v1 before it. deliver MUST NOT block and MUST NOT keep
// the frame.
func (w *Wire) Receive(deliver func(frame []byte)) { w.deliver.Store(&deliver) }

// Write sends a frame, which begins with a virtio_net_hdr_v1 and is not kept.
func (w *Wire) Write(frame []byte) error {
	if len(frame) < headerLen+ethLen || len(frame) > headerLen+ethLen+maxPayload {
		return errBadFrame
	}
	return injected(w.relay.inject(w.jack, 0, frame))
}

func (w *Wire) arrived(l *link, f *frame) {
	if !f.header().check(f.len()) {
		w.relay.totals.add(badHeader)
		return
	}
	if f.tooBig(l.mtu) {
		w.relay.totals.add(giant)
		return
	}
	if deliver := w.deliver.Load(); deliver != nil {
		(*deliver)(f.data[f.start-headerLen : f.end])
	}
}
