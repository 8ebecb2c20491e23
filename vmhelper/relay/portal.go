package relay

import (
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/containerd/errdefs"
)

// Errors of a frame that cannot be written from inside the process.
var (
	errNoEndpoint = fmt.Errorf("write frame: no endpoint of the network has its destination: %w", errdefs.ErrNotFound)
	errBadFrame   = fmt.Errorf("write frame: it is none: %w", errdefs.ErrInvalidArgument)
	errNotTaken   = fmt.Errorf("write frame: the link does not take it: %w", errdefs.ErrUnavailable)
)

// Portal is a port of a network inside this process, which stands behind the MAC address of the network's gateway:
// what an endpoint sends to the gateway in a flow that is open here arrives here, not at the gateway.
type Portal struct {
	relay   *Relay
	network string
	flows   flows
	deliver atomic.Pointer[func([]byte)]
}

// Portal gives the portal of a network, which need not be in the table yet. It stays until Release.
func (r *Relay) Portal(network string) *Portal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.portals[network]; p != nil {
		return p
	}
	p := &Portal{relay: r, network: network}
	r.portals[network] = p
	r.snapshot.Store(r.build(r.table))
	return p
}

// Release takes the portal away: its flows end, and the next Portal of the network is another one.
func (p *Portal) Release() {
	r := p.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.portals[p.network] == p {
		delete(r.portals, p.network)
		r.snapshot.Store(r.build(r.table))
	}
}

// Open lets the frames of a flow arrive at the portal.
func (p *Portal) Open(f Flow) error {
	if f.Protocol != protoTCP && f.Protocol != protoUDP || !f.Remote.IsValid() || !f.Endpoint.IsValid() {
		return fmt.Errorf("open flow: %w", errdefs.ErrInvalidArgument)
	}
	if !p.flows.add(f) {
		return fmt.Errorf("open flow: more than %d: %w", maxFlows, errdefs.ErrResourceExhausted)
	}
	return nil
}

// Close ends a flow.
func (p *Portal) Close(f Flow) { p.flows.remove(f) }

// Receive says who gets the frames, each with a virtio_net_hdr_v1 before it. deliver is called from several goroutines
// at once, MUST NOT block and MUST NOT keep the frame.
func (p *Portal) Receive(deliver func(frame []byte)) { p.deliver.Store(&deliver) }

// Neighbor tells the MAC addresses of an endpoint of the network and of the gateway: destination and source of a frame
// to it.
func (p *Portal) Neighbor(a netip.Addr) (endpoint, gateway [6]byte, ok bool) {
	d := p.relay.snapshot.Load().networks[p.network]
	if d == nil {
		return endpoint, gateway, false
	}
	q := d.byAddress[a]
	if q == nil || q.gateway || d.gateway == nil {
		return endpoint, gateway, false
	}
	return q.mac, d.gateway.mac, true
}

// Write sends a frame to an endpoint of the network: its destination is the endpoint's MAC address. It begins with a
// virtio_net_hdr_v1 and is not kept. A link that is full takes it later; one that is away does not take it.
func (p *Portal) Write(frame []byte) error {
	if len(frame) < headerLen+ethLen || len(frame) > headerLen+ethLen+maxPayload {
		return errBadFrame
	}
	d := p.relay.snapshot.Load().networks[p.network]
	if d == nil {
		return errNoEndpoint
	}
	q := d.byMAC[[6]byte(frame[headerLen:])]
	if q == nil || q.gateway {
		return errNoEndpoint
	}
	why := p.relay.inject(q.jack, q.tag, frame)
	q.received(len(frame)-headerLen, why)
	return injected(why)
}

func injected(why cause) error {
	switch why {
	case carried:
		return nil
	case badHeader, giant, unsegmented:
		return errBadFrame
	}
	return errNotTaken
}

// takes tells whether the portal has the flow of a frame.
func (p *Portal) takes(eth []byte) bool {
	if !p.flows.any() {
		return false
	}
	f, ok := flowOf(eth)
	return ok && p.flows.has(f)
}

func (p *Portal) arrived(f *frame) {
	if deliver := p.deliver.Load(); deliver != nil {
		(*deliver)(f.data[f.start-headerLen : f.end])
	}
}

// inject writes a frame of this process to the link at j.
func (r *Relay) inject(j *jack, tag uint16, b []byte) cause {
	why := r.injectFrame(j, tag, b)
	if why == queued {
		why = carried
		r.totals.add(queued)
	}
	if why != carried {
		r.totals.add(why)
	}
	return why
}

func (r *Relay) injectFrame(j *jack, tag uint16, b []byte) cause {
	l := j.link.Load()
	if l == nil || !l.enter() {
		return noLink
	}
	defer l.leave()
	if h := header(b[:headerLen]); tag == 0 && l.takes(h) && !exceeds(h, len(b)-headerLen, l.mtu) {
		return l.write(b)
	}
	f := frames.Get().(*frame)
	defer frames.Put(f)
	f.start = headroom
	f.end = headroom - headerLen + copy(f.data[headroom-headerLen:], b)
	if !f.header().check(f.len()) {
		return badHeader
	}
	return l.send(f, tag, false)
}
