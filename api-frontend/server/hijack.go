package server

import (
	"io"
	"net"
)

// HijackConn is a connection that a HijackFunc owns. Read first gives what the client sent right behind its request,
// and io.EOF when the client has closed its half; Write and CloseWrite act on the real connection.
type HijackConn struct {
	conn   net.Conn
	reader io.Reader
	peer   *peerConn
}

// Read reads from the client.
func (c *HijackConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// Write writes to the client. A failed write ends the context of the hijack function.
func (c *HijackConn) Write(p []byte) (int, error) {
	n, err := c.conn.Write(p)
	if err != nil {
		c.peer.leave()
	}
	return n, err
}

// CloseWrite closes our half: the client reads to the end, and may still send.
func (c *HijackConn) CloseWrite() error {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.conn.Close()
}

// Close ends the connection; blocked reads and writes return.
func (c *HijackConn) Close() error { return c.peer.Close() }
