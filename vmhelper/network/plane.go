package network

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/internal/keylock"
	"github.com/arca-engine/arca/vmhelper/publish"
	"github.com/arca-engine/arca/vmhelper/relay"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/uplink"
)

// Plane is the network side of a worker.
type Plane struct {
	Relay     *relay.Relay
	Publisher *publish.Publisher
	Uplink    *uplink.Uplink

	log   hclog.Logger
	table *table
	locks keylock.Map // one change of a sandbox's links at a time.

	mu    sync.Mutex
	boxes map[string]*attached // by ID of the sandbox.
}

// attached are the links of one boot that the relay has.
type attached struct {
	bootID string
	links  map[string]uint32 // MTU by name.
}

// New makes a plane, with the published ports that an earlier worker has left in the store.
func New(ctx context.Context, store publish.Store, log hclog.Logger) (*Plane, error) {
	p := &Plane{log: log, table: newTable(), boxes: map[string]*attached{}}
	p.Relay = relay.New(relay.Config{Log: log})
	p.Uplink = uplink.New(uplink.Config{Wire: func(k relay.LinkKey) uplink.Wire { return p.Relay.Wire(k) }, Log: log})
	var err error
	p.Publisher, err = publish.New(ctx, publish.Config{
		Portal: func(network string) publish.Portal { return p.Relay.Portal(network) }, Table: p.view(), Store: store, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, p.Uplink.Close(), p.Relay.Close())
	}
	return p, nil
}

// Close closes everything and waits. Sandboxes, their links and what is published stay with the keeper.
func (p *Plane) Close() error {
	return errors.Join(p.Publisher.Close(), p.Uplink.Close(), p.Relay.Close())
}

// Attach gives the links of a sandbox to the relay. Attaching a boot again does nothing.
func (p *Plane) Attach(ctx context.Context, sb sandbox.Sandbox) error {
	info := sb.Info()
	if err := p.locks.Lock(ctx, info.ID); err != nil {
		return err
	}
	defer p.locks.Unlock(info.ID)
	if p.has(info) {
		return nil
	}
	p.detach(info.ID) // The links of an earlier boot.
	for _, l := range sb.Links() {
		if err := p.attach(ctx, sb, l.Name); errdefs.IsNotFound(err) {
			p.log.Warn("a link of a sandbox is gone", "sandbox", info.ID, "link", l.Name, "error", err)
		} else if err != nil {
			return fmt.Errorf("attach link %s of sandbox %s: %w", l.Name, info.ID, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.boxLocked(info)
	return nil
}

func (p *Plane) has(info sandbox.Info) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[info.ID]
	return b != nil && b.bootID == info.BootID
}

func (p *Plane) boxLocked(info sandbox.Info) *attached {
	b := p.boxes[info.ID]
	if b == nil || b.bootID != info.BootID {
		b = &attached{bootID: info.BootID, links: map[string]uint32{}}
		p.boxes[info.ID] = b
	}
	return b
}

func (p *Plane) attach(ctx context.Context, sb sandbox.Sandbox, name string) error {
	l, err := sb.Link(ctx, name)
	if err != nil {
		return err
	}
	info := sb.Info()
	err = p.Relay.Attach(relay.LinkKey{Sandbox: info.ID, Name: name}, l.File, relay.LinkOptions{
		VnetHeader: l.VnetHeader, MTU: l.MTU, Checksums: l.VnetHeader > 0, Segments: l.VnetHeader > 0,
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.boxLocked(info).links[name] = l.MTU
	p.mu.Unlock()
	p.table.touch() // What waits for the link can go on.
	return nil
}

// Detach takes the links of a boot that has ended from the relay.
func (p *Plane) Detach(info sandbox.Info) {
	if err := p.locks.Lock(context.Background(), info.ID); err != nil {
		return // It cannot fail: the context never ends.
	}
	defer p.locks.Unlock(info.ID)
	if p.has(info) {
		p.detach(info.ID)
	}
}

func (p *Plane) detach(id string) {
	p.mu.Lock()
	b := p.boxes[id]
	delete(p.boxes, id)
	p.mu.Unlock()
	if b == nil {
		return
	}
	for name := range b.links {
		p.detachLink(id, name)
	}
}

func (p *Plane) detachLink(id, name string) {
	if err := p.Relay.Detach(relay.LinkKey{Sandbox: id, Name: name}); err != nil {
		p.log.Warn("detach link", "sandbox", id, "link", name, "error", err)
	}
}

// AddLink makes a link in a running sandbox and gives it to the relay.
func (p *Plane) AddLink(ctx context.Context, sb sandbox.Sandbox, l sandbox.LinkSpec) error {
	id := sb.Info().ID
	if err := p.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer p.locks.Unlock(id)
	if err := sb.AddLink(ctx, l); err != nil {
		return err
	}
	if err := p.attach(ctx, sb, l.Name); err != nil {
		return fmt.Errorf("attach link %s of sandbox %s: %w", l.Name, id, err)
	}
	return nil
}

// RemoveLink takes a link from the relay and then from the sandbox.
func (p *Plane) RemoveLink(ctx context.Context, sb sandbox.Sandbox, name string) error {
	id := sb.Info().ID
	if err := p.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer p.locks.Unlock(id)
	p.mu.Lock()
	if b := p.boxes[id]; b != nil {
		delete(b.links, name)
	}
	p.mu.Unlock()
	p.detachLink(id, name)
	return sb.RemoveLink(ctx, name)
}

// mtu tells the MTU of a link; 0 when it is not attached.
func (p *Plane) mtu(k relay.LinkKey) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.boxes[k.Sandbox]; b != nil {
		return b.links[k.Name]
	}
	return 0
}
