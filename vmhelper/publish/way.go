package publish

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
)

// endpointWait is how long a client waits for an endpoint that is not in the table, as after a restart of the worker.
const endpointWait = 3 * time.Second

// way is how a client reaches an endpoint.
type way struct {
	network  *network
	from, to netip.AddrPort
}

// awaitEndpoint waits for the endpoint to be in the table. The context that it returns ends when it goes.
func (o *port) awaitEndpoint() (context.Context, Endpoint, error) {
	wait, cancel := context.WithTimeoutCause(o.ctx, endpointWait, errAbsent)
	defer cancel()
	for {
		changed, live := o.p.cfg.Table.Changed(), o.connections()
		if e, ok := o.p.cfg.Table.Endpoint(o.Endpoint); ok {
			return live, e, nil
		}
		select {
		case <-changed:
		case <-wait.Done():
			return nil, Endpoint{}, context.Cause(wait)
		}
	}
}

var errAbsent = fmt.Errorf("the endpoint is not there: %w", errdefs.ErrUnavailable)

// find finds the way of a client: under its own address if it is a remote one of a family that the endpoint has, else
// under that of the gateway.
func (o *port) find(e Endpoint, client netip.AddrPort) (way, error) {
	from := client.Addr()
	to := ofFamily(e.Addresses, from)
	masked := !to.IsValid() || o.p.local.has(from) || slices.ContainsFunc(e.Subnets, func(s netip.Prefix) bool { return s.Contains(from) })
	if !to.IsValid() && len(e.Addresses) > 0 {
		to = e.Addresses[0]
	}
	if masked {
		from = ofFamily(e.Gateways, to)
	}
	if !to.IsValid() || !from.IsValid() {
		return way{}, fmt.Errorf("no address leads to the endpoint: %w", errdefs.ErrUnavailable)
	}
	n, err := o.p.networks.get(e.Network, e.MTU)
	return way{n, netip.AddrPortFrom(from, client.Port()), netip.AddrPortFrom(to, o.Inside)}, err
}

// ofFamily returns the first address of the family of another one.
func ofFamily(all []netip.Addr, like netip.Addr) netip.Addr {
	for _, a := range all {
		if like.IsValid() && a.Is4() == like.Is4() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

// addressLife is how long the host's addresses are believed.
const addressLife = time.Second

// hostAddresses are those of this machine.
type hostAddresses struct {
	mu    sync.Mutex
	asked time.Time
	all   map[netip.Addr]bool
}

// has tells whether an address is one of this machine.
func (h *hostAddresses) has(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil || time.Since(h.asked) > addressLife {
		h.asked = time.Now()
		if as, err := net.InterfaceAddrs(); err == nil { // Else what was known holds.
			h.all = make(map[netip.Addr]bool, len(as))
			for _, x := range as {
				if n, ok := x.(*net.IPNet); ok {
					if ip, ok := netip.AddrFromSlice(n.IP); ok {
						h.all[ip.Unmap()] = true
					}
				}
			}
		}
	}
	return h.all[a.WithZone("")]
}
