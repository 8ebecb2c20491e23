package layer3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Run takes up interfaces that appear, or that somebody changed, until ctx ends.
func (p *Plane) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.watch(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("the watch on interfaces ended and begins anew", "error", err)
		}
	}
	return nil
}

// watch follows one subscription to its end. What came before it is looked at after it has begun.
func (p *Plane) watch(ctx context.Context) error {
	updates, done := make(chan netlink.LinkUpdate, 256), make(chan struct{})
	failed := make(chan error, 1)
	err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ReceiveBufferSize: 1 << 20,
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch interfaces: %w", err)
	}
	defer func() {
		close(done)
		for range updates { // It is closed when the subscription has ended.
			continue
		}
	}()
	p.tryMissing()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("watch interfaces: %w", err)
		case u, ok := <-updates:
			if !ok {
				return errors.New("watch interfaces: the subscription ended")
			}
			p.see(u)
		}
	}
}

// tryMissing tries all interfaces that are not as they shall be.
func (p *Plane) tryMissing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range append(slices.Collect(maps.Keys(p.mu.owners)), p.mu.uplink.Link, p.mu.port) {
		if _, done := p.mu.done[name]; !done && name != "" {
			p.tryLocked(name)
		}
	}
}

// see takes up an interface of ours that is not as it shall be.
func (p *Plane) see(u netlink.LinkUpdate) {
	attrs := u.Attrs()
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ours := p.mu.owners[attrs.Name]
	if !ours && attrs.Name != p.mu.uplink.Link && attrs.Name != p.mu.port {
		return
	}
	index, done := p.mu.done[attrs.Name]
	if u.Header.Type == unix.RTM_DELLINK {
		if done && index == attrs.Index {
			delete(p.mu.done, attrs.Name)
			p.mu.problems[attrs.Name] = absent(attrs.Name)
			p.announceLocked()
		}
		return
	}
	if done && index == attrs.Index && attrs.Flags&net.FlagUp != 0 {
		n := p.mu.networks[id]
		if !ours || bytes.Equal(attrs.HardwareAddr, n.Gateway.MAC) && (n.MTU == 0 || n.MTU == attrs.MTU) {
			return
		}
	}
	p.tryLocked(attrs.Name)
}
