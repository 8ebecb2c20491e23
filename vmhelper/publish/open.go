package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
)

// port is an open one.
type port struct {
	p *Publisher
	Port
	listeners []socket // one for each of HostIPs.
	conns     chan struct{}

	ctx    context.Context // of the port.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	live context.Context // of the connections: it ends, and begins anew, when the endpoint goes.
	end  context.CancelCauseFunc
}

// socket is one that listens: a *net.TCPListener or a *net.UDPConn.
type socket interface {
	io.Closer
	syscall.Conn
}

func (p *Publisher) newPort(d Port) *port {
	o := &port{p: p, Port: d, conns: make(chan struct{}, maxPortConns)}
	o.ctx, o.cancel = context.WithCancelCause(p.ctx)
	o.live, o.end = context.WithCancelCause(o.ctx)
	return o
}

// connections is the context of connections that begin now.
func (o *port) connections() context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.live
}

// disconnect ends the connections there are.
func (o *port) disconnect() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(fmt.Errorf("the endpoint has gone: %w", errdefs.ErrUnavailable))
	o.live, o.end = context.WithCancelCause(o.ctx)
}

func (o *port) begin() {
	for _, l := range o.listeners {
		switch l := l.(type) {
		case *net.TCPListener:
			o.wg.Go(func() { o.accept(l) })
		case *net.UDPConn:
			o.wg.Go(func() { o.receive(l) })
		}
	}
}

func (o *port) close(cause error) {
	o.cancel(cause)
	for _, l := range o.listeners {
		_ = l.Close() // A socket that listens has nothing to lose.
	}
	o.wg.Wait()
}

// open listens to one number on all addresses, or to none.
func (p *Publisher) open(want Port) (*port, error) {
	first, last := want.First, max(want.First, want.Last)
	start := first
	if first == 0 {
		first, last, start = firstEphemeral, lastEphemeral, p.next
	}
	n := int(last-first) + 1
	for i := range n {
		number := first + uint16((int(start-first)+i)%n)
		ls, err := p.listenAll(want, number)
		if err == nil {
			if want.First == 0 {
				p.next = firstEphemeral + (number+1-firstEphemeral)%(lastEphemeral-firstEphemeral+1)
			}
			o := p.newPort(want)
			o.Host, o.listeners = number, ls
			return o, nil
		}
		if n == 1 || !errors.Is(err, syscall.EADDRINUSE) && !errdefs.IsAlreadyExists(err) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no port from %d to %d is free: %w", first, last, errdefs.ErrResourceExhausted)
}

func randomEphemeral() uint16 {
	return firstEphemeral + uint16(rand.IntN(lastEphemeral-firstEphemeral+1))
}

func (p *Publisher) listenAll(want Port, number uint16) (ls []socket, err error) {
	for _, ip := range want.HostIPs {
		at := netip.AddrPortFrom(ip, number)
		l, err := listen(p.ctx, want.Protocol, at)
		if err != nil {
			for _, l := range ls {
				_ = l.Close() // Nobody was served by it.
			}
			return nil, p.refused(want.Protocol, at, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// refused classifies the system's refusal.
func (p *Publisher) refused(proto Protocol, at netip.AddrPort, err error) error {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return fmt.Errorf("listen to %s: %w", at, err)
	}
	switch number {
	case syscall.EADDRINUSE:
		for _, o := range p.all() {
			if o.Protocol != proto || o.Host != at.Port() {
				continue
			}
			for _, ip := range o.HostIPs {
				if overlap(ip, at.Addr()) {
					return takenError(at)
				}
			}
		}
	case syscall.EACCES, syscall.EPERM:
		return fmt.Errorf("listen to %s: %w: %w", at, number, errdefs.ErrPermissionDenied)
	}
	return fmt.Errorf("listen to %s: %w: %w", at, number, errdefs.ErrFailedPrecondition)
}

func listen(ctx context.Context, proto Protocol, at netip.AddrPort) (socket, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	family := "6" // It does not take IPv4 along.
	if at.Addr().Is4() {
		family = "4"
	}
	if proto == UDP {
		c, err := lc.ListenPacket(ctx, "udp"+family, at.String())
		if err != nil {
			return nil, err
		}
		u := c.(*net.UDPConn)
		if err := prepareUDP(u, at.Addr().Is4()); err != nil {
			return nil, errors.Join(err, u.Close())
		}
		return u, nil
	}
	l, err := lc.Listen(ctx, "tcp"+family, at.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}
