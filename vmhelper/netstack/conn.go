package netstack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A connection whose peer has gone without a word is found out after keepIdle and keepCount intervals.
const (
	keepIdle     = 2 * time.Minute
	keepInterval = 30 * time.Second
	keepCount    = 4
)

// Conn is a TCP connection of a stack. One goroutine reads and one writes.
type Conn struct {
	ep                 tcpip.Endpoint
	wq                 *waiter.Queue
	readable, writable <-chan struct{}
	entries            [2]waiter.Entry
}

// NewConn makes a connection of an endpoint that is connected.
func NewConn(ep tcpip.Endpoint, wq *waiter.Queue) *Conn {
	c := &Conn{ep: ep, wq: wq}
	c.entries[0], c.readable = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr | waiter.EventRdHUp)
	c.entries[1], c.writable = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	wq.EventRegister(&c.entries[0])
	wq.EventRegister(&c.entries[1])
	o := ep.SocketOptions()
	o.SetDelayOption(false)
	idle, interval := tcpip.KeepaliveIdleOption(keepIdle), tcpip.KeepaliveIntervalOption(keepInterval)
	_, _ = ep.SetSockOpt(&idle), ep.SetSockOpt(&interval)       // Without them the stack's own, longer ones hold.
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepCount) // Likewise.
	o.SetKeepAlive(true)
	return c
}

// Dial connects from one address to another by a NIC of s.
func Dial(ctx context.Context, s *stack.Stack, id tcpip.NICID, from, to netip.AddrPort) (*Conn, error) {
	wq := &waiter.Queue{}
	ep, terr := s.NewEndpoint(tcp.ProtocolNumber, Protocol(to.Addr()), wq)
	if terr != nil {
		return nil, fmt.Errorf("connect to %s: %w", to, Error(terr))
	}
	ep.SocketOptions().SetReuseAddress(true)
	entry, connected := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if terr = ep.Bind(Full(id, from)); terr == nil {
		terr = ep.Connect(Full(id, to))
	}
	if _, ok := terr.(*tcpip.ErrConnectStarted); ok {
		select {
		case <-connected:
			terr = ep.LastError()
		case <-ctx.Done():
			ep.Abort()
			return nil, fmt.Errorf("connect to %s: %w", to, context.Cause(ctx))
		}
	}
	if terr != nil {
		ep.Close()
		return nil, fmt.Errorf("connect to %s: %w", to, Error(terr))
	}
	return NewConn(ep, wq), nil
}

// Read implements io.Reader.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		w := tcpip.SliceWriter(b)
		r, err := c.ep.Read(&w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			c.ep.ModerateRecvBuf(r.Count)
			return r.Count, nil
		case *tcpip.ErrWouldBlock:
			<-c.readable
		case *tcpip.ErrClosedForReceive:
			return 0, io.EOF
		default:
			return 0, Error(err)
		}
	}
}

// Write implements io.Writer.
func (c *Conn) Write(b []byte) (n int, err error) {
	for n < len(b) {
		w, terr := c.ep.Write(bytes.NewReader(b[n:]), tcpip.WriteOptions{})
		n += int(w)
		if err := c.await(terr, c.writable); err != nil {
			return n, err
		}
	}
	return n, nil
}

// await waits when the endpoint said that it would block, and returns every other error.
func (c *Conn) await(err tcpip.Error, ready <-chan struct{}) error {
	if _, ok := err.(*tcpip.ErrWouldBlock); ok {
		<-ready
		return nil
	}
	return Error(err)
}

// CloseWrite tells the peer that no more comes.
func (c *Conn) CloseWrite() error {
	return Error(c.ep.Shutdown(tcpip.ShutdownWrite))
}

// Close closes the connection; what was written is still sent. Blocked reads and writes end.
func (c *Conn) Close() error {
	c.ep.Close()
	return nil
}

// Abort resets the connection. Blocked reads and writes end.
func (c *Conn) Abort() { c.ep.Abort() }

// Ended calls f, from any goroutine, when nothing of the connection will come or go any more, which after Close may take
// a while; but not later than limit from now on.
func (c *Conn) Ended(limit time.Duration, f func()) {
	e := &ending{c: c, f: f}
	e.entry = waiter.NewFunctionEntry(waiter.EventHUp|waiter.EventErr, func(waiter.EventMask) { e.end(false) })
	e.timer.Store(time.AfterFunc(limit, func() { e.end(true) }))
	c.wq.EventRegister(&e.entry)
	switch tcp.EndpointState(c.ep.State()) {
	case tcp.StateClose, tcp.StateError, tcp.StateTimeWait:
		e.end(false)
	}
}
