package publish

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/arca-engine/arca/vmhelper/netstack"
	"github.com/arca-engine/arca/vmhelper/relay"
)

const (
	dialLimit   = 10 * time.Second
	endLimit    = 10 * time.Second // how long a connection's end is waited for after both sides have closed.
	dialTries   = 4
	acceptPause = 20 * time.Millisecond // when the process has no descriptor left.
)

// accept carries the clients of a listener until it is closed.
func (o *port) accept(l *net.TCPListener) {
	for {
		select {
		case o.conns <- struct{}{}:
		case <-o.ctx.Done():
			return
		}
		c, err := l.AcceptTCP()
		if err == nil {
			o.wg.Go(func() {
				o.carry(c)
				<-o.conns
			})
			continue
		}
		<-o.conns
		if o.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		o.p.cfg.Log.Debug("accept client", "port", o.ID, "error", err)
		t := time.NewTimer(acceptPause)
		select {
		case <-t.C:
		case <-o.ctx.Done():
			t.Stop()
			return
		}
	}
}

// carry carries one client.
func (o *port) carry(c *net.TCPConn) {
	select {
	case o.p.conns <- struct{}{}:
		defer func() { <-o.p.conns }()
	case <-o.ctx.Done():
		_ = c.Close()
		return
	}
	client := unmap(c.RemoteAddr().(*net.TCPAddr).AddrPort())
	in, err := o.connect(client)
	if err != nil {
		o.p.cfg.Log.Debug("connect client", "port", o.ID, "client", client, "error", err)
		_ = c.SetLinger(0) // The client is told by a reset.
		_ = c.Close()
		return
	}
	if err := netstack.Splice(in.ctx, c, in.conn); err != nil {
		o.p.cfg.Log.Debug("a connection failed", "port", o.ID, "client", client, "error", err)
	}
	in.conn.Ended(endLimit, func() { in.network.release(in.flow) })
}

// inside is a connection to an endpoint.
type inside struct {
	ctx     context.Context // it ends when the endpoint goes.
	conn    *netstack.Conn
	network *network
	flow    relay.Flow
}

var errRule = errors.New("a rule forbids it")

func (o *port) connect(client netip.AddrPort) (in inside, err error) {
	if !o.allows(client.Addr()) {
		return in, errRule
	}
	live, e, err := o.awaitEndpoint()
	if err != nil {
		return in, err
	}
	w, err := o.find(e, client)
	if err != nil {
		return in, err
	}
	ctx, cancel := context.WithTimeout(live, dialLimit)
	defer cancel()
	for try := 1; ; try++ {
		f, err := w.network.reserve(o.Protocol, w.from, w.to)
		if err != nil {
			return in, err
		}
		c, err := netstack.Dial(ctx, o.p.stack, w.network.nic, f.Remote, f.Endpoint)
		if err == nil {
			return inside{live, c, w.network, f}, nil
		}
		w.network.release(f)
		if !errors.Is(err, syscall.EADDRINUSE) || try == dialTries {
			return in, err
		}
		// The stack still remembers a connection by this port.
		w.from = netip.AddrPortFrom(w.from.Addr(), randomEphemeral())
	}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
