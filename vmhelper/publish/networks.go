package publish

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"

	"github.com/containerd/errdefs"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/arca-engine/arca/vmhelper/netstack"
	"github.com/arca-engine/arca/vmhelper/relay"
)

// networks are those that the stack has entered, each by an interface of its own.
type networks struct {
	cfg   Config
	stack *stack.Stack

	mu     sync.Mutex
	all    map[string]*network
	last   tcpip.NICID
	closed bool
}

// network is the stack's place in one.
type network struct {
	id     string
	nic    tcpip.NICID
	portal Portal

	mu    sync.Mutex
	flows map[relay.Flow]struct{}
}

// get enters a network.
func (ns *networks) get(id string, mtu uint32) (*network, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.closed {
		return nil, errClosed
	}
	if n := ns.all[id]; n != nil {
		return n, nil
	}
	portal := ns.cfg.Portal(id)
	ns.last++
	n := &network{id: id, nic: ns.last, portal: portal, flows: map[relay.Flow]struct{}{}}
	l := netstack.NewLink(netstack.LinkConfig{Port: portal, MTU: mtu, Peer: portal.Neighbor})
	if err := netstack.AddNIC(ns.stack, n.nic, l); err != nil {
		portal.Release()
		return nil, fmt.Errorf("enter network %s: %w", id, err)
	}
	ns.all[id] = n
	return n, nil
}

// sweep leaves the networks that are no more.
func (ns *networks) sweep() {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for id, n := range ns.all {
		if ns.closed || !ns.cfg.Table.HasNetwork(id) {
			netstack.RemoveNIC(ns.stack, n.nic)
			n.portal.Release()
			delete(ns.all, id)
		}
	}
}

func (ns *networks) close() {
	ns.mu.Lock()
	ns.closed = true
	ns.mu.Unlock()
	ns.sweep()
}

// reserve opens the flow from an address to an endpoint, by the client's own port where that is free: two published
// ports may lead one client to one port of an endpoint.
func (n *network) reserve(proto Protocol, from, to netip.AddrPort) (relay.Flow, error) {
	f := relay.Flow{Protocol: uint8(proto), Remote: from, Endpoint: to}
	n.mu.Lock()
	defer n.mu.Unlock()
	for range 64 {
		if _, taken := n.flows[f]; !taken {
			if err := n.portal.Open(f); err != nil {
				return f, err
			}
			n.flows[f] = struct{}{}
			return f, nil
		}
		f.Remote = netip.AddrPortFrom(from.Addr(), 1024+uint16(rand.IntN(65536-1024)))
	}
	return f, fmt.Errorf("no port is free for a connection from %s to %s: %w", from.Addr(), to, errdefs.ErrResourceExhausted)
}

func (n *network) release(f relay.Flow) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.flows, f)
	n.portal.Close(f)
}
