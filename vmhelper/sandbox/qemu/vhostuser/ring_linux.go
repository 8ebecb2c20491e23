package vhostuser

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags of a descriptor and of the available ring (VIRTIO 1.2, 2.7.5 and 2.7.6).
const (
	descNext        = 1
	descWrite       = 2
	descIndirect    = 4
	availNoNotify   = 1
	maxRing         = 1024
	descriptorSize  = 16
	usedElementSize = 8
)

// Ring is a split virtqueue. Its methods may be called from any goroutine; use it through Do, one caller at a time.
type Ring struct {
	mu  sync.Mutex
	mem memory // of the server, which changes it under mu.

	// Set by QEMU's messages.
	size                          uint32
	descUser, availUser, usedUser uint64
	enabled                       bool
	kick                          *os.File
	call                          *os.File
	last                          uint16 // of the available ring: what comes next.
	desc, avail, used             []byte // nil while the ring is stopped.
	kicked                        sync.WaitGroup
	touched                       bool // something was used since the last notification.
}

// Chain is a buffer of the guest: what the device reads, then what it writes.
type Chain struct {
	head     uint16
	Readable [][]byte
	Writable [][]byte
}

// resolve finds the parts of the ring in the memory.
func (r *Ring) resolve() (err error) {
	if r.size == 0 || r.size > maxRing || r.size&(r.size-1) != 0 {
		return fmt.Errorf("%w: a ring of %d", ErrProtocol, r.size)
	}
	n := uint64(r.size)
	if r.desc, err = r.mem.atUser(r.descUser, descriptorSize*n); err != nil {
		return err
	}
	if r.avail, err = r.mem.atUser(r.availUser, 4+2*n); err != nil {
		return err
	}
	if r.used, err = r.mem.atUser(r.usedUser, 4+usedElementSize*n); err != nil {
		return err
	}
	if uintptr(unsafe.Pointer(&r.avail[0]))%4 != 0 || uintptr(unsafe.Pointer(&r.used[0]))%4 != 0 {
		return fmt.Errorf("%w: a ring that is not aligned", ErrProtocol)
	}
	return nil
}

func (r *Ring) forget() { r.desc, r.avail, r.used = nil, nil, nil }

// word reads the flags (lower half) and the index (upper half) at the beginning of an available or used ring at once.
func word(ring []byte) *uint32 { return (*uint32)(unsafe.Pointer(&ring[0])) }

// Do runs f while nobody else uses the ring, and tells the guest of what f has used. It does nothing and says false when
// the ring is stopped.
func (r *Ring) Do(f func() error) (running bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.desc == nil || !r.enabled {
		return false, nil
	}
	err = f()
	if r.touched {
		r.touched = false
		if nerr := r.notify(); err == nil {
			err = nerr
		}
	}
	return true, err
}

// Next takes the next buffer that the guest has made available; false when there is none. Call it within Do.
func (r *Ring) Next(c *Chain) (bool, error) {
	index := uint16(atomic.LoadUint32(word(r.avail)) >> 16)
	if index == r.last {
		return false, nil
	}
	if uint32(index-r.last) > r.size {
		return false, fmt.Errorf("%w: %d buffers are available in a ring of %d", ErrProtocol, index-r.last, r.size)
	}
	c.head = binary.LittleEndian.Uint16(r.avail[4+2*(uint32(r.last)%r.size):])
	c.Readable, c.Writable = c.Readable[:0], c.Writable[:0]
	if err := r.chain(c); err != nil {
		return false, err
	}
	r.last++
	return true, nil
}

func (r *Ring) chain(c *Chain) error {
	at := uint32(c.head)
	for range r.size {
		if at >= r.size {
			return fmt.Errorf("%w: descriptor %d of a ring of %d", ErrProtocol, at, r.size)
		}
		var d [descriptorSize]byte
		copy(d[:], r.desc[descriptorSize*at:]) // The guest may change it meanwhile.
		addr, n := binary.LittleEndian.Uint64(d[:]), binary.LittleEndian.Uint32(d[8:])
		flags := binary.LittleEndian.Uint16(d[12:])
		if flags&descIndirect != 0 {
			return fmt.Errorf("%w: an indirect descriptor", ErrProtocol)
		}
		b, err := r.mem.at(addr, uint64(n))
		switch {
		case err != nil:
			return err
		case flags&descWrite != 0:
			c.Writable = append(c.Writable, b)
		case len(c.Writable) > 0:
			return fmt.Errorf("%w: a readable descriptor after a writable one", ErrProtocol)
		default:
			c.Readable = append(c.Readable, b)
		}
		if flags&descNext == 0 {
			return nil
		}
		at = uint32(binary.LittleEndian.Uint16(d[14:]))
	}
	return fmt.Errorf("%w: a chain without an end", ErrProtocol)
}

// Use gives a buffer back, with the number of bytes written to it. Call it within Do.
func (r *Ring) Use(c *Chain, written uint32) {
	w := word(r.used)
	old := atomic.LoadUint32(w)
	index := uint16(old >> 16)
	e := r.used[4+usedElementSize*(uint32(index)%r.size):]
	binary.LittleEndian.PutUint32(e, uint32(c.head))
	binary.LittleEndian.PutUint32(e[4:], written)
	atomic.StoreUint32(w, uint32(index+1)<<16|old&0xffff)
	r.touched = true
}

// Back makes the buffer that Next took available again. Call it within Do, before another Next.
func (r *Ring) Back() { r.last-- }

func (r *Ring) notify() error {
	if r.call == nil || atomic.LoadUint32(word(r.avail))&availNoNotify != 0 {
		return nil
	}
	if _, err := unix.Write(int(r.call.Fd()), []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil && err != unix.EAGAIN {
		return fmt.Errorf("notify the guest: %w", err)
	}
	return nil
}
