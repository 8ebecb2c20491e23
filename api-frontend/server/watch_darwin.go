package server

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// watcher tells connections that their peer has closed, from one kqueue and one goroutine.
//
// On a unix socket the write side ends (EV_EOF of EVFILT_WRITE) when the peer closes, and stays when it only closes its
// own half; a huge low-water mark keeps ordinary room in the buffer from waking anybody. TCP cannot tell the two apart,
// so there the end of the read side counts as leaving unless the connection was hijacked.
//
// A descriptor's number may be used again while an event of its former owner is being told; so connections are
// registered by the goroutine itself, between two batches, and taken out of the map before they are closed.
type watcher struct {
	queue int
	done  chan struct{}

	mu      sync.Mutex
	conns   map[uint64]*peerConn
	waiting []*peerConn
	stopped bool
}

const wakeIdent = math.MaxInt32

func newWatcher() (*watcher, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, fmt.Errorf("create kqueue: %w", err)
	}
	unix.CloseOnExec(fd)
	w := &watcher{queue: fd, done: make(chan struct{}), conns: map[uint64]*peerConn{}}
	wake := []unix.Kevent_t{{Ident: wakeIdent, Filter: unix.EVFILT_USER, Flags: unix.EV_ADD | unix.EV_CLEAR}}
	if _, err := unix.Kevent(fd, wake, nil, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("register wake-up: %w", err), unix.Close(fd))
	}
	go w.run()
	return w, nil
}

func (w *watcher) run() {
	defer close(w.done)
	events := make([]unix.Kevent_t, 64)
	for w.register() {
		n, err := unix.Kevent(w.queue, nil, events, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, event := range events[:max(n, 0)] {
			if event.Flags&unix.EV_EOF != 0 {
				w.tell(event)
			}
		}
	}
}

// register takes the new connections in; it says whether the watcher goes on.
func (w *watcher) register() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.waiting {
		raw := rawConn(c.Conn)
		if raw == nil {
			continue
		}
		filter := int16(unix.EVFILT_WRITE)
		if _, tcp := baseConn(c.Conn).(*net.TCPConn); tcp {
			filter = unix.EVFILT_READ
		}
		// An error means that the connection is closed already; there is nobody to tell.
		_ = raw.Control(func(fd uintptr) {
			change := []unix.Kevent_t{{Ident: uint64(fd), Filter: filter, Flags: unix.EV_ADD | unix.EV_CLEAR,
				Fflags: unix.NOTE_LOWAT, Data: math.MaxInt32}}
			if _, err := unix.Kevent(w.queue, change, nil, nil); err == nil {
				c.token = uint64(fd)
				w.conns[c.token] = c
			}
		})
	}
	w.waiting = nil
	return !w.stopped
}

func (w *watcher) tell(event unix.Kevent_t) {
	w.mu.Lock()
	conn := w.conns[event.Ident]
	w.mu.Unlock()
	switch {
	case conn == nil:
	case event.Filter == unix.EVFILT_WRITE || event.Fflags != 0:
		conn.leave()
	default:
		conn.halfClosed()
	}
}

// add begins to watch a connection.
func (w *watcher) add(c *peerConn) {
	w.mu.Lock()
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	w.wake()
}

// remove stops watching; closing the descriptor takes it out of the kqueue.
func (w *watcher) remove(c *peerConn) {
	w.mu.Lock()
	if w.conns[c.token] == c {
		delete(w.conns, c.token)
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(other *peerConn) bool { return other == c })
	w.mu.Unlock()
}

func (w *watcher) wake() {
	wake := []unix.Kevent_t{{Ident: wakeIdent, Filter: unix.EVFILT_USER, Fflags: unix.NOTE_TRIGGER}}
	_, _ = unix.Kevent(w.queue, wake, nil, nil)
}

func (w *watcher) close() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.wake()
	<-w.done
	_ = unix.Close(w.queue)
}
