package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/arca-engine/arca/vmhelper/netstack"
)

const (
	maxUDPFlows   = 4096
	maxDatagram   = 65535
	udpUnanswered = 30 * time.Second // how long a flow that was never answered may be idle.
	udpIdle       = 120 * time.Second
)

type flowKey struct{ from, to netip.AddrPort }

// udpFlow carries the datagrams between an address within and one of the host's side.
type udpFlow struct {
	key      flowKey
	inside   *gonet.UDPConn
	active   atomic.Int64 // when something was carried, in nanoseconds since 1970.
	answered atomic.Bool
	cancel   context.CancelCauseFunc
}

type udpFlows struct {
	mu  sync.Mutex
	all map[flowKey]*udpFlow
}

func (f *udpFlow) touch() { f.active.Store(time.Now().UnixNano()) }

// idle tells when the flow ends if nothing is carried.
func (f *udpFlow) idle() time.Time {
	limit := udpUnanswered
	if f.answered.Load() {
		limit = udpIdle
	}
	return time.Unix(0, f.active.Load()).Add(limit)
}

// datagram serves the first datagram of a flow, on the goroutine that delivers frames: it does not wait.
func (e *end) datagram(r *udp.ForwarderRequest) {
	id := r.ID()
	key := flowKey{netstack.AddrPort(id.RemoteAddress, id.RemotePort), netstack.AddrPort(id.LocalAddress, id.LocalPort)}
	s := e.settings.Load()
	isDNS := key.to == netip.AddrPortFrom(s.DNS, dnsPort)
	target := key.to
	if !isDNS {
		var err error
		if target, err = s.target(key.to, &e.host); err != nil {
			e.counters.add(&e.counters.forbidden)
			return
		}
	}
	if !e.begin() {
		return
	}
	wq := &waiter.Queue{}
	ep, terr := r.CreateEndpoint(wq)
	if terr != nil {
		e.wg.Done()
		e.log.Debug("begin flow", "from", key.from, "to", key.to, "error", netstack.Error(terr))
		return
	}
	f := &udpFlow{key: key, inside: gonet.NewUDPConn(wq, ep)}
	f.touch()
	ctx, cancel := context.WithCancelCause(e.ctx)
	f.cancel = cancel
	e.flows.add(f)
	go func() {
		defer e.wg.Done()
		defer func() {
			cancel(nil)
			e.flows.remove(f)
			_ = f.inside.Close() // Closing it twice does nothing.
		}()
		if isDNS {
			e.answerDatagrams(f)
			return
		}
		e.carryDatagrams(ctx, f, target)
	}()
}

func (e *end) carryDatagrams(ctx context.Context, f *udpFlow, target netip.AddrPort) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", target.String())
	if err != nil {
		e.counters.add(&e.counters.unusable)
		return
	}
	e.counters.add(&e.counters.udp)
	back := make(chan struct{})
	go func() {
		defer close(back)
		carry(f, c, f.inside, true)
		_ = f.inside.Close() // The other direction ends.
	}()
	carry(f, f.inside, c, false)
	_ = c.Close()
	<-back
}

// carry carries datagrams in one direction until the flow is idle or one side is closed.
func carry(f *udpFlow, from, to net.Conn, answer bool) {
	buf := datagrams.Get().(*[]byte)
	defer datagrams.Put(buf)
	for {
		if err := from.SetReadDeadline(f.idle()); err != nil {
			return
		}
		n, err := from.Read(*buf)
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() && time.Now().Before(f.idle()) || answer && isRefusal(err) {
				continue // The other direction is busy; or a datagram found nobody, and the next one may.
			}
			return
		}
		f.touch()
		if answer {
			f.answered.Store(true)
		}
		_, _ = to.Write((*buf)[:n]) // What is lost is lost, as with any datagram.
	}
}

var datagrams = sync.Pool{New: func() any { b := make([]byte, maxDatagram); return &b }}

// add adds a flow; the one that was idle longest among a few goes when there are too many.
func (fs *udpFlows) add(f *udpFlow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if len(fs.all) >= maxUDPFlows {
		var oldest *udpFlow
		n := 0
		for _, g := range fs.all { // In random order.
			if oldest == nil || g.active.Load() < oldest.active.Load() {
				oldest = g
			}
			if n++; n == 16 {
				break
			}
		}
		delete(fs.all, oldest.key)
		oldest.end()
	}
	if old := fs.all[f.key]; old != nil {
		old.end()
	}
	fs.all[f.key] = f
}

// end makes the flow's goroutine end.
func (f *udpFlow) end() {
	f.cancel(errStopped)
	_ = f.inside.Close() // Its reader ends.
}

func (fs *udpFlows) remove(f *udpFlow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.all[f.key] == f {
		delete(fs.all, f.key)
	}
}

func (fs *udpFlows) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		f.end()
	}
}
