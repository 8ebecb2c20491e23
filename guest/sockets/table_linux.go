package sockets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// Patience is how long a connection waits for its stream.
const Patience = 10 * time.Second

const maxWaiting = 1024

// Socket is a listener to be made.
type Socket struct {
	ID       string // of the host's socket.
	Path     string
	UID, GID int
	Mode     os.FileMode
}

// Announce tells the host of a connection.
type Announce func(container, socket string, token []byte)

// Table holds the listeners and the connections of all containers.
type Table struct {
	announce Announce
	settled  func(token []byte)

	mu         sync.Mutex
	containers map[string]*group
	waiting    map[string]*waiter
}

type group struct {
	cancel    context.CancelCauseFunc
	ctx       context.Context // of the group's life.
	listeners []*net.UnixListener
	wg        sync.WaitGroup
}

type waiter struct {
	container string
	stream    chan net.Conn
	done      chan error
	gone      chan struct{} // closed when the connection has ended.
}

// NewTable makes a table without sockets. settled is called once for each announcement, when no stream is awaited for it
// any more.
func NewTable(announce Announce, settled func(token []byte)) *Table {
	return &Table{announce: announce, settled: settled, containers: map[string]*group{}, waiting: map[string]*waiter{}}
}

// Open makes the listeners of a container; it has none yet.
func (t *Table) Open(container string, sockets []Socket) (err error) {
	if len(sockets) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.containers[container] != nil {
		return nil
	}
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			g.cancel(nil)
			for _, l := range g.listeners {
				_ = l.Close()
			}
		}
	}()
	for _, s := range sockets {
		l, err := listen(s)
		if err != nil {
			return fmt.Errorf("open socket %s: %w", s.ID, err)
		}
		g.listeners = append(g.listeners, l)
	}
	for i, l := range g.listeners {
		g.wg.Go(func() { t.accept(g, container, sockets[i].ID, l) })
	}
	t.containers[container] = g
	return nil
}

func listen(s Socket) (*net.UnixListener, error) {
	if err := os.Remove(s.Path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(true)
	if err = os.Chown(s.Path, s.UID, s.GID); err == nil {
		err = os.Chmod(s.Path, s.Mode.Perm())
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the listeners and connections of a container.
func (t *Table) Close(container string) {
	t.mu.Lock()
	g := t.containers[container]
	delete(t.containers, container)
	t.mu.Unlock()
	if g == nil {
		return
	}
	g.cancel(nil)
	for _, l := range g.listeners {
		_ = l.Close()
	}
	g.wg.Wait()
}

func (t *Table) accept(g *group, container, socket string, l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		g.wg.Go(func() { t.connection(g.ctx, container, socket, c) })
	}
}

// connection announces a connection, waits for its stream and joins them.
func (t *Table) connection(ctx context.Context, container, socket string, c *net.UnixConn) {
	defer func() { _ = c.Close() }()
	token := make([]byte, 16)
	_, _ = rand.Read(token) // It never fails.
	w := &waiter{container: container, stream: make(chan net.Conn), done: make(chan error, 1), gone: make(chan struct{})}
	defer close(w.gone)
	t.mu.Lock()
	if len(t.waiting) >= maxWaiting {
		t.mu.Unlock()
		return
	}
	t.waiting[string(token)] = w
	t.mu.Unlock()
	t.announce(container, socket, token)
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	var stream net.Conn
	select {
	case stream = <-w.stream:
	case <-timer.C:
	case <-ctx.Done():
	}
	t.settled(token)
	t.mu.Lock()
	delete(t.waiting, string(token))
	t.mu.Unlock()
	if stream == nil {
		return
	}
	w.done <- Join(ctx, c, stream)
}

// Join finds the connection that a stream is for. The returned function carries bytes until both sides have ended.
func (t *Table) Join(token []byte, container string, stream net.Conn) (func() error, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.waiting[string(token)]
	if w == nil || w.container != container {
		return nil, fmt.Errorf("no connection waits for this stream: %w", errdefs.ErrNotFound)
	}
	delete(t.waiting, string(token))
	return func() error {
		select {
		case w.stream <- stream:
			return <-w.done
		case <-w.gone: // It waited too long.
			return fmt.Errorf("the connection has ended: %w", errdefs.ErrNotFound)
		}
	}, nil
}

type halfCloser interface{ CloseWrite() error }

// Join carries bytes between two connections, and half-closes, until both directions have ended or ctx has.
func Join(ctx context.Context, a, b net.Conn) error {
	defer func() { _ = a.Close() }()
	defer func() { _ = b.Close() }()
	defer context.AfterFunc(ctx, func() { _, _ = a.Close(), b.Close() })()
	errs := make(chan error, 2)
	carry := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if h, ok := to.(halfCloser); ok && err == nil {
			err = h.CloseWrite()
		} else {
			_ = to.Close()
		}
		if err != nil { // One direction is broken: the other has no use.
			_ = from.Close()
		}
		errs <- err
	}
	go carry(a, b)
	carry(b, a)
	return errors.Join(<-errs, <-errs)
}
