package descriptor

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
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/peercred"
)

// TokenSize is the size of a token.
const TokenSize = 16

const (
	lifetime   = 10 * time.Second
	maxPending = 4096
	maxPeers   = 256
	answered   = 1 // the byte that a descriptor travels with.
	refused    = 0
)

// Server holds descriptors until they are redeemed.
type Server struct {
	lifetime time.Duration

	mu      sync.Mutex
	pending map[[TokenSize]byte]*entry
	closed  bool
}

type entry struct {
	file  *os.File
	timer *time.Timer
}

// NewServer returns a server with nothing registered.
func NewServer() *Server {
	return &Server{lifetime: lifetime, pending: map[[TokenSize]byte]*entry{}}
}

// Register takes over f until its token is redeemed or has expired.
func (s *Server) Register(f *os.File) ([]byte, error) {
	var token [TokenSize]byte
	_, _ = rand.Read(token[:]) // Never fails: crypto/rand.Read ends the program instead.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.pending) >= maxPending {
		_ = f.Close()
		if s.closed {
			return nil, fmt.Errorf("register descriptor: the server is closed: %w", errdefs.ErrUnavailable)
		}
		return nil, fmt.Errorf("register descriptor: too many wait to be fetched: %w", errdefs.ErrResourceExhausted)
	}
	s.pending[token] = &entry{file: f, timer: time.AfterFunc(s.lifetime, func() {
		if f := s.take(token); f != nil {
			_ = f.Close()
		}
	})}
	return token[:], nil
}

// RegisterConn registers the descriptor of c and closes c.
func (s *Server) RegisterConn(c net.Conn) ([]byte, error) {
	defer func() { _ = c.Close() }()
	fc, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("register a %T: it has no descriptor: %w", c, errdefs.ErrNotImplemented)
	}
	f, err := fc.File()
	if err != nil {
		return nil, fmt.Errorf("register descriptor: %w", err)
	}
	return s.Register(f)
}

func (s *Server) take(token [TokenSize]byte) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.pending[token]
	if e == nil {
		return nil
	}
	delete(s.pending, token)
	e.timer.Stop()
	return e.file
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for token, e := range s.pending {
		e.timer.Stop()
		_ = e.file.Close()
		delete(s.pending, token)
	}
}

// Serve answers the peers of l that allow allows, until ctx ends; then it closes l and all that is registered.
func (s *Server) Serve(ctx context.Context, l net.Listener, allow peercred.Allow) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		if stop() {
			_ = l.Close()
		}
	}()
	pl := &peercred.Listener{Listener: l, Allow: allow}
	slots := make(chan struct{}, maxPeers)
	for {
		slots <- struct{}{} // Each peer has a deadline, so a slot becomes free.
		c, err := pl.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept on descriptor socket: %w", err)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			defer func() { _ = c.Close() }()
			// A peer that does not speak is dropped; so is one that the server's end interrupts.
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
			s.answer(c.(*net.UnixConn))
		})
	}
}

// answer serves one peer: one token, one descriptor. A peer that fails gets nothing and is not worth a log line.
func (s *Server) answer(c *net.UnixConn) {
	var token [TokenSize]byte
	if _, err := io.ReadFull(c, token[:]); err != nil {
		return
	}
	f := s.take(token)
	if f == nil {
		_, _ = c.Write([]byte{refused})
		return
	}
	defer func() { _ = f.Close() }()
	rc, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Control(func(fd uintptr) {
		_, _, _ = c.WriteMsgUnix([]byte{answered}, unix.UnixRights(int(fd)), nil)
	})
}
