package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/arca-engine/arca/vmhelper/netstack"
	"github.com/arca-engine/arca/vmhelper/relay"
)

// Bounds of what clients can make us hold.
const (
	maxPorts     = 16384
	maxConns     = 16384 // of all ports.
	maxPortConns = 4096  // of one.
)

// Portal is where a network is entered.
type Portal interface {
	netstack.Port
	Open(f relay.Flow) error
	Close(f relay.Flow)
	Neighbor(a netip.Addr) (endpoint, gateway [6]byte, ok bool)
	Release()
}

// Endpoint is where a port leads.
type Endpoint struct {
	Network   string
	Addresses []netip.Addr
	Gateways  []netip.Addr // of its network.
	Subnets   []netip.Prefix
	MTU       uint32
}

// Table tells where endpoints are.
type Table interface {
	Endpoint(id string) (Endpoint, bool)
	HasNetwork(id string) bool
	// Changed is closed at the next change.
	Changed() <-chan struct{}
}

// Store keeps descriptors beyond this process's life.
type Store interface {
	Put(ctx context.Context, name string, f *os.File) error
	Get(ctx context.Context, name string) (*os.File, error)
	Drop(ctx context.Context, name string) error
	Names(ctx context.Context, after string) ([]string, error)
}

// Config is what a publisher is made of.
type Config struct {
	Portal func(network string) Portal
	Table  Table
	Store  Store
	Log    hclog.Logger
}

// Publisher holds the published ports.
type Publisher struct {
	cfg      Config
	stack    *stack.Stack
	conns    chan struct{} // a place for each connection.
	local    hostAddresses
	networks networks

	ctx    context.Context // of everything that runs here.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	opening sync.Mutex // one port is opened or closed at a time.
	next    uint16     // where the search for a free port goes on.

	mu    sync.Mutex
	ports map[string]*port
}

var errClosed = fmt.Errorf("the publisher is closed: %w", errdefs.ErrUnavailable)

// New makes a publisher and takes up what an earlier one had stored.
func New(ctx context.Context, cfg Config) (*Publisher, error) {
	s, err := netstack.New()
	if err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	p := &Publisher{cfg: cfg, stack: s, conns: make(chan struct{}, maxConns), ports: map[string]*port{}}
	p.networks = networks{cfg: cfg, stack: s, all: map[string]*network{}}
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	p.next = randomEphemeral()
	if err := p.restore(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("take up published ports: %w", err), p.Close())
	}
	p.wg.Go(p.follow)
	return p, nil
}

// Close closes everything and waits. What is stored stays for the next publisher.
func (p *Publisher) Close() error {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.cancel(errClosed)
	for _, o := range p.all() {
		o.close(errClosed)
	}
	p.wg.Wait()
	p.networks.close()
	p.stack.Destroy()
	return nil
}

// all returns the ports there are.
func (p *Publisher) all() []*port {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*port, 0, len(p.ports))
	for _, o := range p.ports {
		out = append(out, o)
	}
	return out
}

// follow ends the connections of endpoints that have left the table, and lets go of networks that have.
func (p *Publisher) follow() {
	for {
		changed := p.cfg.Table.Changed()
		for _, o := range p.all() {
			if _, ok := p.cfg.Table.Endpoint(o.Endpoint); !ok {
				o.disconnect()
			}
		}
		p.networks.sweep()
		select {
		case <-changed:
		case <-p.ctx.Done():
			return
		}
	}
}

// List tells what is published.
func (p *Publisher) List() []Port {
	var out []Port
	for _, o := range p.all() {
		out = append(out, o.Port)
	}
	return out
}

// Publish opens a port and returns its number. It is idempotent by ID; another description replaces the earlier one.
func (p *Publisher) Publish(ctx context.Context, want Port) (uint16, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.ctx.Err() != nil {
		return 0, errClosed
	}
	p.mu.Lock()
	have, n := p.ports[want.ID], len(p.ports)
	p.mu.Unlock()
	if have != nil && have.same(&want) {
		return have.Host, nil
	}
	if have != nil {
		if err := p.remove(ctx, have); err != nil {
			return 0, err
		}
	}
	if n >= maxPorts {
		return 0, fmt.Errorf("%d ports are published: %w", n, errdefs.ErrResourceExhausted)
	}
	o, err := p.open(want)
	if err != nil {
		return 0, err
	}
	if err := p.save(ctx, o); err != nil {
		o.close(errClosed)
		return 0, errors.Join(fmt.Errorf("store port %s: %w", want.ID, err), p.forget(context.WithoutCancel(ctx), o))
	}
	p.begin(o)
	return o.Host, nil
}

// begin serves a port that is open and stored.
func (p *Publisher) begin(o *port) {
	p.mu.Lock()
	p.ports[o.ID] = o
	p.mu.Unlock()
	o.begin()
}

// Unpublish closes ports and their connections. Absent ones are no error.
func (p *Publisher) Unpublish(ctx context.Context, ids ...string) error {
	p.opening.Lock()
	defer p.opening.Unlock()
	var errs []error
	for _, id := range ids {
		p.mu.Lock()
		o := p.ports[id]
		p.mu.Unlock()
		if o != nil {
			errs = append(errs, p.remove(ctx, o))
		}
	}
	return errors.Join(errs...)
}

func (p *Publisher) remove(ctx context.Context, o *port) error {
	// The keeper first: a listener that it still has goes on listening.
	if err := p.forget(ctx, o); err != nil {
		return fmt.Errorf("unpublish %s: %w", o.ID, err)
	}
	o.close(fmt.Errorf("the port is not published any more: %w", errdefs.ErrUnavailable))
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ports, o.ID)
	return nil
}
