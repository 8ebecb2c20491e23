package vsock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/sandbox/qemu/vhostuser"
)

// The rings of the device.
const (
	ringReceive  = 0 // of the guest: what we send.
	ringTransmit = 1
	ringEvent    = 2
	rings        = 3
)

const (
	maxConns  = 1024
	maxResets = 256
	// burst bounds how many packets of the guest are taken before other users of the device have their turn.
	burst = 64
)

// Device is the socket device of one machine. Make one with New and run it with Serve.
type Device struct {
	cid    uint64
	server *vhostuser.Server

	mu      sync.Mutex
	conns   map[ports]*Conn
	port    uint32             // of the last connection.
	control []*Conn            // those with flags to send, in order.
	resets  []ports            // of packets for which there is no connection; the oldest go when there are too many.
	waiting map[*Conn]struct{} // writers that found no buffer of the guest.
	ready   chan struct{}      // closed when the guest's driver runs.
	up      bool
	err     error // why nothing works any more.
	chain   vhostuser.Chain
	batch   vhostuser.Chain
}

// ports name a connection.
type ports struct{ local, peer uint32 }

// New makes the device of the machine with this CID; conn is the socket whose other end QEMU has as its chardev.
func New(conn *net.UnixConn, cid uint64) *Device {
	return &Device{
		cid: cid, server: vhostuser.NewServer(conn, rings), conns: map[ports]*Conn{}, waiting: map[*Conn]struct{}{},
		port: 1 << 20, ready: make(chan struct{}),
	}
}

// ErrGone is wrapped by what connections return once the machine has gone.
var ErrGone = errors.New("the virtual machine is gone")

// Serve runs the device until QEMU goes or ctx ends. Then every connection is broken.
func (d *Device) Serve(ctx context.Context) error {
	err := d.server.Serve(ctx, d)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = fmt.Errorf("%w: %w", ErrGone, err)
	if !d.up {
		d.up = true
		close(d.ready)
	}
	for _, c := range d.conns {
		c.breakLocked(d.err)
	}
	return err
}

// Config is the guest's CID.
func (d *Device) Config() []byte { return binary.LittleEndian.AppendUint64(nil, d.cid) }

// Kicked implements vhostuser.Device.
func (d *Device) Kicked(ring int) error {
	switch ring {
	case ringReceive:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.flushLocked()
	case ringTransmit:
		for {
			more, err := d.take()
			if err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// take handles up to a burst of the guest's packets.
func (d *Device) take() (more bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.server.Ring(ringTransmit)
	_, err = r.Do(func() error {
		for range burst {
			ok, err := r.Next(&d.chain)
			if err != nil || !ok {
				return err
			}
			err = d.packetLocked(d.chain.Readable)
			r.Use(&d.chain, 0)
			if err != nil {
				return err
			}
		}
		more = true
		return nil
	})
	if err == nil {
		err = d.flushLocked()
	}
	return more, err
}

// packetLocked handles one packet of the guest. Only what could not come from a driver at all ends the device.
func (d *Device) packetLocked(buffers [][]byte) error {
	var raw [headerSize]byte
	buffers, n := gather(raw[:], buffers)
	if n < headerSize {
		return fmt.Errorf("%w: a packet of %d bytes", vhostuser.ErrProtocol, n)
	}
	var h header
	h.decode(&raw)
	if h.op != opData {
		h.length = 0
	}
	if int64(h.length) > int64(total(buffers)) {
		return fmt.Errorf("%w: a packet that says %d bytes and has %d", vhostuser.ErrProtocol, h.length, total(buffers))
	}
	name := ports{h.dstPort, h.srcPort}
	c := d.conns[name]
	if h.srcCID != d.cid || h.dstCID != hostCID || h.kind != typeStream || c == nil {
		if h.op != opReset {
			d.resetLocked(name)
		}
		return nil
	}
	c.packetLocked(&h, buffers)
	return nil
}

// resetLocked refuses a packet for which there is no connection.
func (d *Device) resetLocked(name ports) {
	if len(d.resets) >= maxResets {
		d.resets = d.resets[1:]
	}
	d.resets = append(d.resets, name)
}

// flushLocked sends what waits, as far as the guest has buffers, and wakes writers when there are more.
func (d *Device) flushLocked() error {
	r := d.server.Ring(ringReceive)
	running, err := r.Do(d.drainLocked)
	if err != nil {
		return err
	}
	if running {
		if !d.up {
			d.up = true
			close(d.ready)
		}
		for c := range d.waiting {
			delete(d.waiting, c)
			c.writable.Broadcast()
		}
	}
	return nil
}

// drainLocked sends what waits. Call it within Do of the ring.
func (d *Device) drainLocked() error {
	for len(d.resets) > 0 {
		name := d.resets[0]
		ok, err := d.sendLocked(&header{srcPort: name.local, dstPort: name.peer, op: opReset}, nil)
		if err != nil || !ok {
			return err
		}
		d.resets = d.resets[1:]
	}
	for len(d.control) > 0 {
		c := d.control[0]
		if done, err := c.sendControlLocked(); err != nil || !done {
			return err
		}
		d.control = d.control[1:]
	}
	return nil
}

// sendLocked writes one packet into a buffer of the guest; false when there is none. Call it within Do of the ring.
func (d *Device) sendLocked(h *header, data []byte) (bool, error) {
	r := d.server.Ring(ringReceive)
	ok, err := r.Next(&d.batch)
	if err != nil || !ok {
		return false, err
	}
	if total(d.batch.Writable) < headerSize+len(data) {
		return false, fmt.Errorf("%w: a buffer of %d bytes for packets", vhostuser.ErrProtocol, total(d.batch.Writable))
	}
	d.fillLocked(h, data)
	return true, nil
}

// fillLocked fills the buffer that was taken.
func (d *Device) fillLocked(h *header, data []byte) {
	h.srcCID, h.dstCID, h.kind, h.length = hostCID, d.cid, typeStream, uint32(len(data))
	var raw [headerSize]byte
	h.encode(&raw)
	scatter(scatter(d.batch.Writable, raw[:]), data)
	d.server.Ring(ringReceive).Use(&d.batch, uint32(headerSize+len(data)))
}

// Dial connects to a port that the guest listens on. ECONNREFUSED: nobody listens there.
func (d *Device) Dial(ctx context.Context, port uint32) (*Conn, error) {
	select {
	case <-d.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("dial port %d of the guest: its socket driver does not run: %w", port, context.Cause(ctx))
	}
	c, err := d.open(port)
	if err != nil {
		return nil, fmt.Errorf("dial port %d of the guest: %w", port, err)
	}
	select {
	case <-c.answered:
	case <-ctx.Done():
		c.abort(context.Cause(ctx))
		return nil, fmt.Errorf("dial port %d of the guest: %w", port, context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.err != nil {
		return nil, fmt.Errorf("dial port %d of the guest: %w", port, c.err)
	}
	return c, nil
}

func (d *Device) open(port uint32) (*Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if len(d.conns) >= maxConns {
		return nil, fmt.Errorf("the guest has %d connections: %w", len(d.conns), errdefs.ErrResourceExhausted)
	}
	for {
		d.port++
		if d.port == 0 || d.conns[ports{d.port, port}] != nil {
			continue
		}
		break
	}
	c := newConn(d, ports{d.port, port})
	d.conns[c.name] = c
	c.wantLocked(wantRequest)
	return c, d.flushLocked()
}

// refused is what a reset means before the connection was answered.
var refused error = unix.ECONNREFUSED
