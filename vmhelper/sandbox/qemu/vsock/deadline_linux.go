package vsock

import (
	"net"
	"strconv"
	"time"
)

// deadline wakes whoever waits when it has passed.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (l *deadline) passed() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }

// set replaces the deadline. Call it with the device's lock.
func (l *deadline) set(c *Conn, at time.Time) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		l.timer = time.AfterFunc(wait, func() {
			c.d.mu.Lock()
			defer c.d.mu.Unlock()
			c.readable.Broadcast()
			c.writable.Broadcast()
		})
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.limit(func() { c.readLimit.set(c, t); c.writeLimit.set(c, t) })
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.limit(func() { c.readLimit.set(c, t) }) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.limit(func() { c.writeLimit.set(c, t) }) }

func (c *Conn) limit(set func()) error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.closed {
		return c.failed("set", net.ErrClosed)
	}
	set()
	return nil
}

// Addr is one end of a connection.
type Addr struct {
	CID  uint64
	Port uint32
}

// Network implements net.Addr.
func (Addr) Network() string { return "vsock" }

func (a Addr) String() string {
	return strconv.FormatUint(a.CID, 10) + ":" + strconv.FormatUint(uint64(a.Port), 10)
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return Addr{hostCID, c.name.local} }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return Addr{c.d.cid, c.name.peer} }

var _ net.Conn = (*Conn)(nil)
