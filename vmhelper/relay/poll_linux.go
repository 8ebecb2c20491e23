package relay

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller waits for the frames of all links, with a thread for each processor. The runtime's poller would do, but it
// watches edges: a frame that arrives while its link is being read wakes a thread that finds nothing to do, which on
// few processors costs some of the throughput. Here nothing watches a link that is being read (EPOLLONESHOT).
type poller struct {
	fd, wake int
	links    atomic.Pointer[map[int32]*link]
	running  sync.WaitGroup

	mu   sync.Mutex
	last int32 // the ID of the newest link; one is never used again.
}

// wakeID is what the poller's end is watched as.
const wakeID = 0

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make poller: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make poller: %w", err), unix.Close(fd))
	}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeID}); err != nil {
		return nil, errors.Join(fmt.Errorf("make poller: %w", err), unix.Close(wake), unix.Close(fd))
	}
	p := &poller{fd: fd, wake: wake}
	p.links.Store(&map[int32]*link{})
	for range max(2, runtime.NumCPU()) {
		p.running.Go(p.run)
	}
	return p, nil
}

// run reads whatever is ready, one link at a time, until the poller is closed.
func (p *poller) run() {
	events := make([]unix.EpollEvent, 1)
	for {
		n, err := unix.EpollWait(p.fd, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if n < 1 {
			continue
		}
		if events[0].Fd == wakeID {
			return
		}
		if l := (*p.links.Load())[events[0].Fd]; l != nil && l.enter() {
			if l.receive(events[0].Events&unix.EPOLLIN == 0) {
				_ = p.watch(unix.EPOLL_CTL_MOD, l)
			}
			l.leave()
		}
	}
}

func (p *poller) watch(op int, l *link) error {
	return unix.EpollCtl(p.fd, op, l.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: l.id})
}

func (p *poller) change(f func(map[int32]*link)) {
	m := maps.Clone(*p.links.Load())
	f(m)
	p.links.Store(&m)
}

// add begins to read a link.
func (p *poller) add(l *link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	l.id = p.last
	p.change(func(m map[int32]*link) { m[l.id] = l })
	if err := p.watch(unix.EPOLL_CTL_ADD, l); err != nil {
		p.change(func(m map[int32]*link) { delete(m, l.id) })
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// remove forgets a link that nobody reads any more. Others may hold copies of its descriptor, so it has to be said.
func (p *poller) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change(func(m map[int32]*link) { delete(m, l.id) })
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, l.fd, nil)
}

// close waits for the poller's threads.
func (p *poller) close() error {
	_, err := unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	if err != nil {
		return fmt.Errorf("end poller: %w", err)
	}
	p.running.Wait()
	return errors.Join(unix.Close(p.wake), unix.Close(p.fd))
}

// descriptor of a link, which the runtime's poller does not watch.
type descriptor struct {
	poller *poller // nil: nobody reads it yet.
	id     int32
}

// open takes over f.
func (l *link) open(f *os.File) error {
	fd, err := duplicateFile(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	l.fd = fd
	return nil
}

// watch begins to read. The relay's lock is held.
func (l *link) watch() error {
	if err := l.relay.poller.add(l); err != nil {
		return err
	}
	l.poller = l.relay.poller
	return nil
}

// shut closes a link that nobody uses any more.
func (l *link) shut() error {
	if l.poller != nil {
		l.poller.remove(l)
	}
	return unix.Close(l.fd)
}

// writable gives what waits until the descriptor takes frames again. Only a link that is full is watched for that.
func (l *link) writable() (syscall.RawConn, *os.File, error) {
	fd, err := duplicate(l.fd)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), "link")
	c, err := f.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return c, f, nil
}
