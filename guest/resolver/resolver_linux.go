package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Address is where a container's resolv.conf says that its resolver is.
var Address = netip.MustParseAddr("127.0.0.11")

// Bounds of what a container may ask of its resolver.
const (
	maxQuery = 4096 // of a packet.
	maxConns = 128
	idle     = 8 * time.Second
)

// Space is the network namespace of the container.
type Space interface {
	// Do runs f on a thread that is in it.
	Do(f func() error) error
}

// Resolver serves one container.
type Resolver struct {
	space    Space
	names    *Names
	config   atomic.Pointer[config]
	forwards chan struct{}
	conns    chan struct{}

	udp    *net.UDPConn
	tcp    *net.TCPListener
	direct bool // it listens on port 53 itself: there are no rules.

	ctx    context.Context // of its life.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// config is what may change while it answers.
type config struct {
	upstreams      []netip.AddrPort
	noForward      bool
	noSingleLabels bool
}

// Check says whether a configuration can be used at all.
func Check(c *guestv1.Resolver) error {
	_, err := parseConfig(c)
	return err
}

func parseConfig(c *guestv1.Resolver) (*config, error) {
	out := &config{noForward: c.GetNoForward(), noSingleLabels: c.GetNoSingleLabels()}
	for _, u := range c.GetUpstreams() {
		a, err := netip.ParseAddrPort(u)
		if err != nil {
			return nil, fmt.Errorf("resolver: upstream %q: %w: %w", u, err, errdefs.ErrInvalidArgument)
		}
		if a.Addr() != Address { // It would ask itself.
			out.upstreams = append(out.upstreams, a)
		}
	}
	out.upstreams = out.upstreams[:min(len(out.upstreams), maxUpstreams)]
	return out, nil
}

// Start starts to answer in a namespace. Where the kernel cannot rewrite ports the resolver listens on port 53 itself,
// and the warning says what this means.
func Start(s Space, c *guestv1.Resolver, names *Names) (_ *Resolver, warning string, err error) {
	r := newResolver(s, names)
	if err := r.Change(c); err != nil {
		return nil, "", err
	}
	err = s.Do(func() error {
		if err := r.listen(0); err != nil {
			return err
		}
		port := uint16(r.udp.LocalAddr().(*net.UDPAddr).Port)
		err := addRules(port)
		if err == nil {
			return nil
		}
		warning = fmt.Sprintf("The kernel cannot redirect DNS queries (%v): the resolver occupies port 53 of %s, so that the container cannot use port 53 of all addresses.", err, Address)
		r.direct = true
		if err := r.closeSockets(); err != nil {
			return err
		}
		return r.listen(53)
	})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("start resolver: %w", err), r.closeSockets())
	}
	r.run()
	return r, warning, nil
}

func newResolver(s Space, names *Names) *Resolver {
	r := &Resolver{space: s, names: names, forwards: make(chan struct{}, maxForwards), conns: make(chan struct{}, maxConns)}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

func (r *Resolver) run() {
	r.wg.Go(r.serveUDP)
	r.wg.Go(r.serveTCP)
}

// Change makes the resolver go by another configuration from its next question on.
func (r *Resolver) Change(c *guestv1.Resolver) error {
	parsed, err := parseConfig(c)
	if err == nil {
		r.config.Store(parsed)
	}
	return err
}

// Close ends the resolver and what it is just answering.
func (r *Resolver) Close() error {
	r.cancel(nil)
	err := r.closeSockets()
	r.wg.Wait()
	if r.direct {
		return err
	}
	if rerr := r.space.Do(removeRules); rerr != nil {
		err = errors.Join(err, fmt.Errorf("close resolver: %w", rerr))
	}
	return err
}

func (r *Resolver) closeSockets() error {
	var errs []error
	if r.udp != nil {
		errs = append(errs, r.udp.Close())
	}
	if r.tcp != nil {
		errs = append(errs, r.tcp.Close())
	}
	return errors.Join(errs...)
}

// serveUDP answers from the table at once; only what is asked outside gets a goroutine of its own.
func (r *Resolver) serveUDP() {
	buf := make([]byte, maxQuery+1)
	for {
		n, from, err := r.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if r.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // An error that a client's closed port has left.
		}
		if n > maxQuery {
			continue
		}
		r.serve(buf[:n], false, func(b []byte) { _, _ = r.udp.WriteToUDPAddrPort(b, from) })
	}
}

func (r *Resolver) serveTCP() {
	for {
		c, err := r.tcp.AcceptTCP()
		if err != nil {
			if r.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select { // Too many files are open, for all that is known.
			case <-time.After(10 * time.Millisecond):
			case <-r.ctx.Done():
			}
			continue
		}
		select {
		case r.conns <- struct{}{}:
			r.wg.Go(func() {
				defer func() { <-r.conns }()
				r.serveConn(c)
			})
		default:
			_ = c.Close()
		}
	}
}

// serveConn answers the questions of one connection, one after the other.
func (r *Resolver) serveConn(c *net.TCPConn) {
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(r.ctx, func() { _ = c.Close() })()
	for {
		_ = c.SetDeadline(time.Now().Add(idle))
		packet, err := readTCP(c)
		if err != nil {
			return
		}
		answered := make(chan []byte, 1)
		if !r.serve(packet, true, func(b []byte) { answered <- b }) {
			return
		}
		b := <-answered
		_ = c.SetWriteDeadline(time.Now().Add(idle))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
			return
		}
	}
}
