package initproc

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/mdlayher/vsock"
)

// vsockListeners is the control channel of a VM: one AF_VSOCK listener per port, for the host's CID alone.
type vsockListeners struct {
	mu    sync.Mutex
	ports []*vsockListener
}

var _ Listener = (*vsockListeners)(nil)

// newVsock listens on ports.
func newVsock(ports ...uint32) (*vsockListeners, error) {
	v := &vsockListeners{}
	for _, p := range ports {
		l, err := vsock.Listen(p, nil)
		if err != nil {
			v.close()
			return nil, fmt.Errorf("listen on vsock port %d: %w", p, err)
		}
		v.ports = append(v.ports, &vsockListener{Listener: l, port: p})
	}
	return v, nil
}

// Port implements Listener. The port is one that newVsock was given.
func (v *vsockListeners) Port(port uint32) net.Listener {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.ports {
		if p.port == port {
			return p
		}
	}
	return closedListener{}
}

// Serve implements Listener: whoever holds a port accepts by itself.
func (v *vsockListeners) Serve(ctx context.Context) error {
	<-ctx.Done()
	v.close()
	return nil
}

func (v *vsockListeners) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.ports {
		_ = p.Close()
	}
}

type vsockListener struct {
	net.Listener
	port uint32
}

// Accept implements net.Listener. A peer that is not the host is cut before a byte is read.
func (l *vsockListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if a, ok := c.RemoteAddr().(*vsock.Addr); ok && a.ContextID == vsock.Host {
			return c, nil
		}
		_ = c.Close()
	}
}

// closedListener is a port that nobody opened.
type closedListener struct{}

func (closedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closedListener) Close() error              { return nil }
func (closedListener) Addr() net.Addr            { return &vsock.Addr{} }
