package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/arca-engine/arca/vmhelper/netstack"
)

const (
	maxConns       = 16384
	maxSourceConns = 8192
	maxHalfOpen    = 1024
	dialLimit      = 30 * time.Second
	endLimit       = 30 * time.Second // how long the stack may take to end a connection that both sides have closed.
)

// connect serves one connection. It runs on a goroutine of its own.
func (e *end) connect(r *tcp.ForwarderRequest) {
	if !e.begin() {
		r.Complete(true)
		return
	}
	defer e.wg.Done()
	id := r.ID()
	from, to := netstack.AddrPort(id.RemoteAddress, id.RemotePort), netstack.AddrPort(id.LocalAddress, id.LocalPort)
	if !e.conns.take(from.Addr()) {
		e.counters.add(&e.counters.full)
		r.Complete(true)
		return
	}
	defer e.conns.leave(from.Addr())
	if s := e.settings.Load(); to == netip.AddrPortFrom(s.DNS, dnsPort) {
		if c := e.accept(r); c != nil {
			e.answerStream(c)
		}
		return
	}
	host, silent, err := e.dial(to)
	if err != nil {
		e.log.Debug("refuse connection", "from", from, "to", to, "error", err)
		r.Complete(!silent) // A reset; or silence, as from a host that does not answer.
		return
	}
	c := e.accept(r)
	if c == nil {
		_ = host.SetLinger(0)
		_ = host.Close()
		return
	}
	e.counters.add(&e.counters.tcp)
	if err := netstack.Splice(e.ctx, host, c); err != nil {
		e.log.Debug("a connection failed", "from", from, "to", to, "error", err)
	}
	c.Ended(endLimit, func() {})
}

// accept answers the one who connects; nil when it has given up.
func (e *end) accept(r *tcp.ForwarderRequest) *netstack.Conn {
	wq := &waiter.Queue{}
	ep, err := r.CreateEndpoint(wq)
	r.Complete(false)
	if err != nil {
		e.log.Debug("accept connection", "error", netstack.Error(err))
		return nil
	}
	return netstack.NewConn(ep, wq)
}

// dial connects to the host's side. silent tells that there was no answer.
func (e *end) dial(to netip.AddrPort) (_ *net.TCPConn, silent bool, err error) {
	target, err := e.settings.Load().target(to, &e.host)
	if err != nil {
		e.counters.add(&e.counters.forbidden)
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(e.ctx, dialLimit)
	defer cancel()
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", target.String())
	if err != nil {
		e.counters.add(&e.counters.unusable)
		var ne net.Error
		return nil, errors.As(err, &ne) && ne.Timeout(), err
	}
	return c.(*net.TCPConn), false, nil
}
