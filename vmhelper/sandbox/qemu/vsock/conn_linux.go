package vsock

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// window is how much of the guest's data a connection holds for its reader.
const window = 256 << 10

// lingering is how long a closed connection waits for the guest's reset before it is forgotten.
const lingering = 2 * time.Second

// errEnded: both sides have ended the connection in order.
var errEnded = errors.New("the connection has ended")

// What a connection still has to tell the guest.
const (
	wantRequest = 1 << iota
	wantCredit
	wantCreditRequest
	wantShutdown
	wantReset
)

// Conn is one stream. It has deadlines in both directions and half-closes.
type Conn struct {
	d        *Device
	name     ports
	answered chan struct{} // closed when the guest has answered, or err is set.

	// What follows is guarded by d.mu.

	readable, writable *sync.Cond
	established        bool
	err                error // of a broken connection.
	want               int
	queued             bool // in d.control.

	in       []byte // a circular buffer of window bytes.
	inAt     int
	inLen    int
	consumed uint32 // bytes that were read, and what the guest knows of that.
	told     uint32

	sent             uint32 // bytes.
	peerWindow       uint32
	peerConsumed     uint32
	peerEnd          bool // the guest sends no more.
	peerDeaf         bool // the guest receives no more.
	writeEnd, closed bool
	readLimit        deadline
	writeLimit       deadline
	linger           *time.Timer
}

func newConn(d *Device, name ports) *Conn {
	c := &Conn{d: d, name: name, answered: make(chan struct{})}
	c.readable, c.writable = sync.NewCond(&d.mu), sync.NewCond(&d.mu)
	return c
}

// wantLocked notes what the guest must be told.
func (c *Conn) wantLocked(what int) {
	c.want |= what
	if !c.queued {
		c.queued = true
		c.d.control = append(c.d.control, c)
	}
}

// sendControlLocked tells the guest what it must be told; false when the guest has no buffer. Each telling carries the
// credit, so an update goes last and only if nothing else went.
func (c *Conn) sendControlLocked() (done bool, err error) {
	for _, w := range []struct {
		want  int
		op    uint16
		flags uint32
	}{
		{wantRequest, opRequest, 0}, {wantCreditRequest, opCreditRequest, 0}, {wantShutdown, opShutdown, c.shutdownFlags()},
		{wantReset, opReset, 0}, {wantCredit, opCreditUpdate, 0},
	} {
		if c.want&w.want == 0 {
			continue
		}
		h := c.header(w.op)
		h.flags = w.flags
		if ok, err := c.d.sendLocked(h, nil); err != nil || !ok {
			return false, err
		}
		c.want &^= w.want | wantCredit
		if w.want == wantReset {
			c.want = 0
		}
	}
	c.queued = false
	return true, nil
}

func (c *Conn) shutdownFlags() uint32 {
	if c.closed {
		return noReceive | noSend
	}
	return noSend
}

// header begins a packet of this connection, with its credit.
func (c *Conn) header(op uint16) *header {
	c.told = c.consumed
	return &header{srcPort: c.name.local, dstPort: c.name.peer, op: op, window: window, consumed: c.consumed}
}

// packetLocked handles a packet of the guest.
func (c *Conn) packetLocked(h *header, data [][]byte) {
	c.peerWindow, c.peerConsumed = h.window, h.consumed
	c.writable.Broadcast()
	switch h.op {
	case opResponse:
		if !c.established && c.err == nil {
			c.established = true
			close(c.answered)
		}
	case opReset:
		err := refused
		if c.established {
			if err = unix.ECONNRESET; c.peerEnd || c.closed { // The end of an orderly close.
				err = errEnded
			}
		}
		c.breakLocked(err)
	case opShutdown:
		c.shutdownLocked(h.flags)
	case opData:
		if !c.established || c.peerEnd || int(h.length) > window-c.inLen { // It was told that there is no room.
			c.refuseLocked(unix.ECONNRESET)
			return
		}
		c.storeLocked(data, int(h.length))
	case opCreditRequest:
		c.wantLocked(wantCredit)
	case opCreditUpdate:
	default:
		c.refuseLocked(unix.ECONNRESET)
	}
}

func (c *Conn) shutdownLocked(flags uint32) {
	if flags&noSend != 0 {
		c.peerEnd = true
		c.readable.Broadcast()
	}
	if flags&noReceive != 0 {
		c.peerDeaf = true
	}
	if c.peerEnd && c.peerDeaf { // It waits for our reset; what it sent can still be read.
		c.refuseLocked(errEnded)
	}
}

// storeLocked keeps data for the reader. A closed connection has none: it is dropped as if it were read.
func (c *Conn) storeLocked(data [][]byte, n int) {
	if c.closed {
		c.consumed += uint32(n)
		c.creditLocked()
		return
	}
	if c.in == nil {
		c.in = make([]byte, window)
	}
	for n > 0 {
		end := (c.inAt + c.inLen) % window
		room := c.in[end:min(window, end+n)]
		var k int
		data, k = gather(room, data)
		c.inLen, n = c.inLen+k, n-k
	}
	c.readable.Broadcast()
}

// refuseLocked ends a connection by a reset.
func (c *Conn) refuseLocked(err error) {
	c.want = 0
	c.wantLocked(wantReset)
	c.breakLocked(err)
}

// breakLocked ends a connection. What the guest has sent before can still be read.
func (c *Conn) breakLocked(err error) {
	delete(c.d.conns, c.name)
	delete(c.d.waiting, c)
	if c.linger != nil {
		c.linger.Stop()
	}
	if c.err == nil {
		c.err = err
		if !c.established {
			close(c.answered)
		}
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// abort gives up a connection that was not answered.
func (c *Conn) abort(err error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.err == nil {
		c.refuseLocked(err)
		c.flushLocked()
	}
}

// flushLocked sends what waits. An error is the device's: it shows there.
func (c *Conn) flushLocked() {
	if err := c.d.flushLocked(); err != nil && c.d.err == nil {
		c.d.err = fmt.Errorf("%w: %w", ErrGone, err)
	}
}

// creditLocked tells the guest of room when it may lack it.
func (c *Conn) creditLocked() {
	if c.consumed-c.told >= window/4 && c.err == nil {
		c.wantLocked(wantCredit)
	}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case c.readLimit.passed():
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case c.inLen > 0:
			return c.readLocked(b), nil
		case c.peerEnd || errors.Is(c.err, errEnded):
			return 0, io.EOF
		case c.err != nil:
			return 0, c.failed("read", c.err)
		}
		c.readable.Wait()
	}
}

func (c *Conn) readLocked(b []byte) (n int) {
	for n < len(b) && c.inLen > 0 {
		k := copy(b[n:], c.in[c.inAt:min(window, c.inAt+c.inLen)])
		c.inAt, c.inLen, n = (c.inAt+k)%window, c.inLen-k, n+k
	}
	c.consumed += uint32(n)
	c.creditLocked()
	if c.want != 0 {
		c.flushLocked()
	}
	return n
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (n int, err error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	for {
		switch {
		case c.closed:
			return n, c.failed("write", net.ErrClosed)
		case c.writeLimit.passed():
			return n, c.failed("write", os.ErrDeadlineExceeded)
		case c.err != nil && !errors.Is(c.err, errEnded):
			return n, c.failed("write", c.err)
		case c.writeEnd || c.peerDeaf || c.err != nil:
			return n, c.failed("write", unix.EPIPE)
		case len(b) == 0:
			return n, nil
		}
		k, err := c.writeLocked(b)
		if err != nil {
			return n, c.failed("write", err)
		}
		b, n = b[k:], n+k
		if k == 0 {
			c.writable.Wait()
		}
	}
}

// writeLocked sends as much of b as credit and the guest's buffers allow; nothing is no error.
func (c *Conn) writeLocked(b []byte) (n int, err error) {
	r := c.d.server.Ring(ringReceive)
	running, err := r.Do(func() error {
		// Data never overtakes what waits: else busy writers would keep everybody else from being answered.
		if err := c.d.drainLocked(); err != nil {
			return err
		}
		for len(b) > 0 {
			credit := int64(c.peerWindow) - int64(c.sent-c.peerConsumed)
			if credit <= 0 {
				if n == 0 {
					c.wantLocked(wantCreditRequest)
				}
				return nil
			}
			ok, err := r.Next(&c.d.batch)
			if err != nil {
				return err
			}
			if !ok {
				c.d.waiting[c] = struct{}{}
				return nil
			}
			room := total(c.d.batch.Writable) - headerSize
			if room <= 0 {
				return fmt.Errorf("%w: the guest's buffers are too small", unix.EPROTO)
			}
			k := int(min(credit, int64(len(b)), int64(room)))
			c.d.fillLocked(c.header(opData), b[:k])
			c.sent, b, n = c.sent+uint32(k), b[k:], n+k
		}
		return nil
	})
	if !running && err == nil {
		c.d.waiting[c] = struct{}{}
	}
	if c.want != 0 && err == nil && n == 0 {
		c.flushLocked()
	}
	return n, err
}

// CloseWrite tells the guest that nothing more comes.
func (c *Conn) CloseWrite() error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	switch {
	case c.closed:
		return c.failed("close", net.ErrClosed)
	case c.err != nil && !errors.Is(c.err, errEnded):
		return c.failed("close", c.err)
	case c.err == nil && !c.writeEnd:
		c.writeEnd = true
		c.wantLocked(wantShutdown)
		c.flushLocked()
	}
	c.writable.Broadcast()
	return nil
}

// Close ends the stream in both directions. The guest is told, and reset when it does not answer.
func (c *Conn) Close() error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.closed = true
	c.readLimit.set(c, time.Time{})
	c.writeLimit.set(c, time.Time{})
	c.in, c.inLen = nil, 0
	if c.err == nil {
		c.wantLocked(wantShutdown)
		c.flushLocked()
		c.linger = time.AfterFunc(lingering, func() {
			c.d.mu.Lock()
			defer c.d.mu.Unlock()
			if c.d.conns[c.name] == c {
				c.refuseLocked(net.ErrClosed)
				c.flushLocked()
			}
		})
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
	return nil
}

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "vsock", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
