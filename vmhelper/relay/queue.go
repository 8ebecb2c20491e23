package relay

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// queueLen bounds what waits for a link, in bytes.
const queueLen = 1 << 20

// A descriptor without memory for a frame tells nothing when it has some again, on macOS: it is asked after pause, and
// the frame falls after so many tries.
const (
	pause    = 75 * time.Microsecond
	maxTries = 200
)

// queue holds frames that a link did not take: a ring of bytes, each frame behind its length. When it is full the
// oldest falls.
type queue struct {
	waiting atomic.Bool // something waits: what comes now has to wait behind it.

	mu     sync.Mutex
	closed bool
	waiter io.Closer // who waits until the link takes frames again; nil: nobody has to be woken.
	ring   []byte    // nil until first needed.
	head   int       // the oldest frame.
	used   int
}

const lengthLen = 4

// push copies a frame in; first: nobody empties the queue yet. It tells how many frames fell.
func (q *queue) push(p []byte) (first bool, fell int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(p)+lengthLen > queueLen {
		return false, 1
	}
	if q.ring == nil {
		q.ring = make([]byte, queueLen)
	}
	for q.used+lengthLen+len(p) > len(q.ring) {
		q.skip()
		fell++
	}
	var length [lengthLen]byte
	binary.NativeEndian.PutUint32(length[:], uint32(len(p)))
	q.put(length[:])
	q.put(p)
	first = !q.waiting.Load()
	q.waiting.Store(true)
	return first, fell
}

func (q *queue) put(p []byte) {
	at := (q.head + q.used) % len(q.ring)
	n := copy(q.ring[at:], p)
	copy(q.ring, p[n:])
	q.used += len(p)
}

func (q *queue) get(p []byte) {
	n := copy(p, q.ring[q.head:])
	copy(p[n:], q.ring)
	q.head = (q.head + len(p)) % len(q.ring)
	q.used -= len(p)
}

func (q *queue) length() int {
	var length [lengthLen]byte
	q.get(length[:])
	return int(binary.NativeEndian.Uint32(length[:]))
}

func (q *queue) skip() {
	n := q.length()
	q.head = (q.head + n) % len(q.ring)
	q.used -= n
}

// pop takes the oldest frame out into p; none: the queue is empty and whoever empties it is done.
func (q *queue) pop(p []byte) ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.used == 0 {
		q.waiting.Store(false)
		return nil, false
	}
	p = p[:q.length()]
	q.get(p)
	return p, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ring, q.used = nil, 0
	if q.waiter != nil {
		_ = q.waiter.Close()
		q.waiter = nil
	}
}

// wake says what close closes; false: it is too late for that.
func (q *queue) wake(c io.Closer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiter = c
	return !q.closed
}

// awake takes back what wake said.
func (q *queue) awake(c io.Closer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiter == c {
		q.waiter = nil
	}
}

// drop lets all fall that waits.
func (q *queue) drop() (fell int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; q.used > 0; fell++ {
		q.skip()
	}
	q.waiting.Store(false)
	return fell
}

// write writes a frame as the link takes it, now or later. The caller has entered the link.
func (l *link) write(p []byte) cause {
	if !l.queue.waiting.Load() {
		for {
			err := l.relay.writeFD(l.fd, p)
			if err == nil {
				return carried
			}
			if interrupted(err) {
				continue
			}
			if !wouldBlock(err) && !noBuffers(err) {
				return deadLink
			}
			break
		}
	}
	first, fell := l.queue.push(p)
	for range fell {
		l.relay.totals.add(queueFull)
	}
	if first {
		l.running.Go(l.empty)
	}
	return queued
}

// empty writes what waits, in its order, whenever the descriptor is ready.
func (l *link) empty() {
	raw, file, err := l.writable()
	if err != nil { // No descriptor is free.
		for range l.queue.drop() {
			l.relay.totals.add(queueFull)
		}
		return
	}
	if file != nil {
		defer func() { _ = file.Close() }()
		if !l.queue.wake(file) {
			return
		}
		defer l.queue.awake(file)
	}
	l.emptyTo(raw)
}

func (l *link) emptyTo(raw syscall.RawConn) {
	f := frames.Get().(*frame)
	defer frames.Put(f)
	var p []byte
	var failed error
	attempt := func(fd uintptr) bool { // It stays open during the call, as l.fd need not.
		failed = l.relay.writeFD(int(fd), p)
		return failed == nil || !wouldBlock(failed)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		var ok bool
		if p, ok = l.queue.pop(f.data[:]); !ok {
			return
		}
		for tries := 0; ; {
			if err := raw.Write(attempt); err != nil {
				return // Closed; the queue is, too.
			}
			if failed == nil {
				break
			}
			if interrupted(failed) {
				continue
			}
			if tries++; !noBuffers(failed) || tries > maxTries {
				l.relay.totals.add(deadLink)
				break
			}
			timer.Reset(pause)
			select {
			case <-timer.C:
			case <-l.closing:
				return
			}
		}
	}
}
