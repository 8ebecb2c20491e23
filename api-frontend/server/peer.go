package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// peerConn is a client's connection, with the request that it is serving.
type peerConn struct {
	net.Conn
	set   *connSet
	token uint64
	fresh bool // over a unix socket, and nothing was read; of whoever reads alone.

	mu       sync.Mutex
	cancel   context.CancelCauseFunc
	gone     bool
	halfGone bool
	hijacked bool
	abandon  func()
	unread   bool
	closed   bool
}

// begin makes cancel the function that is called when the client leaves.
func (c *peerConn) begin(cancel context.CancelCauseFunc) {
	c.mu.Lock()
	c.cancel = cancel
	gone := c.gone || c.halfGone && !c.hijacked
	c.mu.Unlock()
	if gone {
		cancel(ErrClientLeft)
	}
}

// finish ends what begin began. unread says that the request's body was not read to its end.
func (c *peerConn) finish(unread bool) {
	c.mu.Lock()
	c.cancel = nil
	c.unread = unread && !c.gone && !c.hijacked
	c.mu.Unlock()
}

// leave tells the request being served that the client has left.
func (c *peerConn) leave() {
	c.mu.Lock()
	c.gone = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(ErrClientLeft)
	}
}

// onAbandon makes f run when the connection is closed before f is taken back by claim.
func (c *peerConn) onAbandon(f func()) {
	c.mu.Lock()
	c.abandon = f
	c.mu.Unlock()
}

// claim takes the function of onAbandon back; false means that it has run.
func (c *peerConn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.abandon != nil
	c.abandon = nil
	return mine
}

// lingerTime is how long a client that is still sending has to notice the answer.
const lingerTime = 500 * time.Millisecond

// linger closes our half and throws away what comes, for a while: a client that is still sending a body when the
// connection closes would see a broken pipe instead of the answer.
func (c *peerConn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.Conn)
}

// Close closes the connection once.
func (c *peerConn) Close() error {
	c.mu.Lock()
	closed, abandon, unread := c.closed, c.abandon, c.unread
	c.closed, c.abandon = true, nil
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.set.remove(c)
	if unread {
		c.linger()
	}
	err := c.Conn.Close()
	c.set.open.Done()
	if abandon != nil {
		abandon()
	}
	return err
}

// Read reads, and mends the first request.
func (c *peerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.fresh && n > 0 {
		c.fresh = false
		nameHost(p[:n])
	}
	return n, err
}

// nameHost gives a request with an empty Host header one, in place. Docker's CLI before version 23 puts the socket's path
// there when it is to attach, of which Go makes an empty header; net/http takes it, fasthttp does not. Over a unix socket the
// header says nothing.
func nameHost(head []byte) {
	const empty, named = "\r\nHost: \r\n", "\r\nHost:-\r\n"
	if i := bytes.IndexByte(head, '\r'); i >= 0 && bytes.HasPrefix(head[i:], []byte(empty)) {
		copy(head[i:], named)
	}
}

// Write writes, and takes a failure for the client's leaving.
func (c *peerConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.leave()
	}
	return n, err
}

// halfClosed says that a TCP peer will send no more.
func (c *peerConn) halfClosed() {
	c.mu.Lock()
	c.halfGone = true
	cancel := c.cancel
	if c.hijacked {
		cancel = nil
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(ErrClientLeft)
	}
}

// hijack marks the connection as no longer HTTP's: from here on a half-close is the end of stdin, over TCP too.
func (c *peerConn) hijack() {
	c.mu.Lock()
	c.hijacked = true
	c.mu.Unlock()
}
