package initproc

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// prefaceTimeout bounds how long a connection may take to name its port.
const prefaceTimeout = 10 * time.Second

// unixMux gives the connections of one unix listener to ports, which each connection names first.
type unixMux struct {
	l       *net.UnixListener
	allowed []uint32
	ports   map[uint32]*portListener
	wg      sync.WaitGroup
}

func newUnixMux(l *net.UnixListener, allowed []uint32) *unixMux {
	return &unixMux{l: l, allowed: allowed, ports: map[uint32]*portListener{}}
}

// Port implements Listener.
func (m *unixMux) Port(port uint32) net.Listener {
	p := &portListener{addr: m.l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	m.ports[port] = p
	return p
}

// Serve implements Listener.
func (m *unixMux) Serve(ctx context.Context) error {
	defer m.wg.Wait()
	defer context.AfterFunc(ctx, func() { _ = m.l.Close() })()
	for {
		c, err := m.l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		m.wg.Go(func() { m.route(ctx, c) })
	}
}

func (m *unixMux) route(ctx context.Context, c *net.UnixConn) {
	if err := m.check(c); err == nil {
		var b [4]byte
		_ = c.SetReadDeadline(time.Now().Add(prefaceTimeout))
		if _, err := io.ReadFull(c, b[:]); err == nil {
			_ = c.SetReadDeadline(time.Time{})
			if p := m.ports[binary.BigEndian.Uint32(b[:])]; p != nil && p.give(ctx, c) {
				return
			}
		}
	}
	_ = c.Close()
}

// check asks the kernel who the peer is.
func (m *unixMux) check(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if cerr != nil {
		return cerr
	}
	if !slices.Contains(m.allowed, cred.Uid) {
		return fmt.Errorf("uid %d may not speak to the agent", cred.Uid)
	}
	return nil
}

// portListener is the net.Listener of one port.
type portListener struct {
	addr   net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *portListener) give(ctx context.Context, c net.Conn) bool {
	select {
	case p.conns <- c:
		return true
	case <-p.closed:
	case <-ctx.Done():
	}
	return false
}

// Accept implements net.Listener.
func (p *portListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *portListener) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

// Addr implements net.Listener.
func (p *portListener) Addr() net.Addr { return p.addr }
