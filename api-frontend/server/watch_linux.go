package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher tells connections that their peer has closed. One goroutine waits, in the Go poller, for one epoll instance
// that holds every connection's descriptor, edge-triggered and for nothing but EPOLLHUP and EPOLLERR, which data never
// raises: an idle or busy connection costs nothing.
//
// A half-close (EPOLLRDHUP) is the end of stdin, not leaving. TCP cannot tell the two apart until something is written,
// so on TCP the end of the client's half counts as leaving unless the connection was hijacked.
type watcher struct {
	poll *os.File
	raw  syscall.RawConn
	done chan struct{}

	mu    sync.Mutex
	next  uint64
	conns map[uint64]*peerConn
}

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("set epoll non-blocking: %w", err), unix.Close(fd))
	}
	w := &watcher{poll: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{}), conns: map[uint64]*peerConn{}}
	if w.raw, err = w.poll.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll descriptor: %w", err), w.poll.Close())
	}
	go w.run()
	return w, nil
}

func (w *watcher) run() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		err := w.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil {
			return
		}
		for _, event := range events[:max(n, 0)] {
			w.tell(event)
		}
	}
}

func (w *watcher) tell(event unix.EpollEvent) {
	w.mu.Lock()
	conn := w.conns[uint64(uint32(event.Fd))|uint64(uint32(event.Pad))<<32]
	w.mu.Unlock()
	if conn == nil {
		return
	}
	if event.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		conn.leave()
		return
	}
	conn.halfClosed()
}

// add begins to watch a connection. One without a descriptor is not watched.
func (w *watcher) add(c *peerConn) {
	raw := rawConn(c.Conn)
	if raw == nil {
		return
	}
	w.mu.Lock()
	w.next++
	c.token = w.next
	w.conns[c.token] = c
	w.mu.Unlock()
	event := unix.EpollEvent{Events: unix.EPOLLET & 0xffffffff, Fd: int32(uint32(c.token)), Pad: int32(uint32(c.token >> 32))}
	if _, tcp := baseConn(c.Conn).(*net.TCPConn); tcp {
		event.Events |= unix.EPOLLRDHUP
	}
	var failed error
	err := w.raw.Control(func(poll uintptr) {
		failed = errors.Join(failed, raw.Control(func(fd uintptr) {
			failed = unix.EpollCtl(int(poll), unix.EPOLL_CTL_ADD, int(fd), &event)
		}))
	})
	if err != nil || failed != nil {
		// The connection or the server is closing; there is nobody to tell.
		w.remove(c)
	}
}

// remove stops watching; closing the descriptor takes it out of the epoll instance.
func (w *watcher) remove(c *peerConn) {
	w.mu.Lock()
	delete(w.conns, c.token)
	w.mu.Unlock()
}

func (w *watcher) close() {
	_ = w.poll.Close()
	<-w.done
}
