package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	idleTCP   = 10 * time.Second
	stopGrace = 2 * time.Second
	maxTCP    = 256
)

// Listen opens the forwarder's sockets: UDP and TCP, at all addresses of each family, so that a gateway's address is
// served from the moment that it exists. Where the kernel has no IPv6, IPv4 alone.
func Listen(ctx context.Context, port string) (*Server, error) {
	s := &Server{}
	var lc net.ListenConfig
	for _, family := range []struct{ suffix, address string }{{"4", "0.0.0.0"}, {"6", "::"}} {
		address := net.JoinHostPort(family.address, port)
		pc, err := lc.ListenPacket(ctx, "udp"+family.suffix, address)
		if err != nil {
			if family.suffix == "6" {
				break
			}
			s.Close()
			return nil, fmt.Errorf("listen for queries: %w", err)
		}
		s.packets = append(s.packets, pc)
		l, err := lc.Listen(ctx, "tcp"+family.suffix, pc.LocalAddr().String())
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listen for queries: %w", err)
		}
		s.listeners = append(s.listeners, &limited{Listener: l, free: make(chan struct{}, maxTCP)})
	}
	return s, nil
}

// Server serves queries at open sockets.
type Server struct {
	packets   []net.PacketConn
	listeners []net.Listener
}

// Close closes the sockets of a server that does not run.
func (s *Server) Close() {
	for _, p := range s.packets {
		_ = p.Close()
	}
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context, handler dns.Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var servers []*dns.Server
	for _, p := range s.packets {
		servers = append(servers, &dns.Server{PacketConn: p, Handler: handler, UDPSize: dns.MaxMsgSize})
	}
	for _, l := range s.listeners {
		servers = append(servers, &dns.Server{Listener: l, Handler: handler, MaxTCPQueries: 128, IdleTimeout: func() time.Duration { return idleTCP }})
	}
	var wg sync.WaitGroup
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() {
			if err := server.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
				cancel(fmt.Errorf("serve queries: %w", err))
			}
		})
		select { // A server that has not started cannot be shut down.
		case <-started:
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	stop, end := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer end()
	for _, server := range servers {
		_ = server.ShutdownContext(stop) // What is still under way after that ends with its own limit.
	}
	s.Close()
	wg.Wait()
	return context.Cause(ctx)
}

// limited is a listener with a bounded number of connections; more are closed at once.
type limited struct {
	net.Listener
	free chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &counted{Conn: c, done: sync.OnceFunc(func() { <-l.free })}, nil
		default:
			_ = c.Close() // One more would be one too many; the client asks again.
		}
	}
}

type counted struct {
	net.Conn
	done func()
}

func (c *counted) Close() error {
	c.done()
	return c.Conn.Close()
}
