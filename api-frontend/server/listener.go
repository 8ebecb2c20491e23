package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	handshakeTimeout = 10 * time.Second
	// acceptPause is how long accepting rests when the process has no descriptor left.
	acceptPause = 50 * time.Millisecond
)

// accept serves a listener's connections until ctx ends.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		var network net.Error
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &network) && network.Temporary(): //nolint:staticcheck // It is right for accept.
			s.log.Warn("accept failed", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		default:
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		peer := &peerConn{Conn: conn, set: &s.conns, fresh: conn.LocalAddr().Network() == "unix"}
		s.conns.add(peer)
		s.calls.Go(func() { s.serveConn(peer) })
	}
}

func (s *Server) serveConn(peer *peerConn) {
	if t, ok := peer.Conn.(*tls.Conn); ok {
		ctx, cancel := context.WithTimeout(s.streams, handshakeTimeout)
		err := t.HandshakeContext(ctx)
		cancel()
		if err != nil {
			s.log.Debug("TLS handshake failed", "peer", peer.RemoteAddr(), "error", err)
			_ = peer.Close()
			return
		}
	}
	if err := s.http.ServeConn(peer); err != nil {
		s.log.Debug("connection failed", "error", err)
	}
}

// connSet holds the open connections, and knows which are between two requests.
type connSet struct {
	watch *watcher
	open  sync.WaitGroup

	mu       sync.Mutex
	idle     map[*peerConn]bool
	stopping bool
}

func (c *connSet) add(peer *peerConn) {
	c.open.Add(1)
	c.mu.Lock()
	if c.idle == nil {
		c.idle = map[*peerConn]bool{}
	}
	c.idle[peer] = true
	c.mu.Unlock()
	c.watch.add(peer)
}

func (c *connSet) remove(peer *peerConn) {
	c.watch.remove(peer)
	c.mu.Lock()
	delete(c.idle, peer)
	c.mu.Unlock()
}

// state is fasthttp's notice that a connection begins or ends a request.
func (c *connSet) state(conn net.Conn, state fasthttp.ConnState) {
	peer, ok := conn.(*peerConn)
	if !ok || state != fasthttp.StateActive && state != fasthttp.StateIdle {
		return
	}
	c.mu.Lock()
	if _, open := c.idle[peer]; open {
		c.idle[peer] = state == fasthttp.StateIdle
	}
	stopping := c.stopping
	c.mu.Unlock()
	if stopping && state == fasthttp.StateIdle {
		_ = peer.Close()
	}
}

// stop closes idle connections, and those of running requests when these have ended; it waits for all.
func (c *connSet) stop() {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	c.close(func(idle bool) bool { return idle })
	c.open.Wait()
}

// closeAll closes every connection, whatever it is doing.
func (c *connSet) closeAll() {
	c.close(func(bool) bool { return true })
}

func (c *connSet) close(which func(idle bool) bool) {
	c.mu.Lock()
	var chosen []*peerConn
	for peer, idle := range c.idle {
		if which(idle) {
			chosen = append(chosen, peer)
		}
	}
	c.mu.Unlock()
	for _, peer := range chosen {
		_ = peer.Close()
	}
}
