package fabric

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/store"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// uplink is the addresses of the way out. It is chosen once in the life of an instance: containers have it in their files.
type uplink struct {
	Net4 netip.Prefix `json:"net4"`
	Net6 netip.Prefix `json:"net6"`
}

var uplinks = store.Bucket[uplink]{Name: "uplink"}

// candidates are the uplink's subnets, in order of preference; the first that is not the host's own is taken.
var candidates = []string{"192.168.127.0/24", "192.168.65.0/24", "172.31.255.0/24", "10.254.127.0/24", "100.127.127.0/24"}

const (
	uplinkNet6 = "fd61:7263:6175::/64"
	// uplinkMTU is that of the point-to-point link between the helper and vmhelper's stack. Large packets are what makes
	// a user-space stack fast; what containers may send is bounded by their own networks' MTU.
	uplinkMTU = 65000
)

// linkBits is the subnet of the two ends alone: addresses that stand for something else are beyond the next hop, so that
// nobody asks for their MAC addresses.
const linkBits = 30

// The last byte of the uplink's addresses.
const (
	uplinkHost   = 254 // stands for the host's loopback.
	uplinkOther  = 1   // vmhelper's end.
	uplinkHelper = 2
	uplinkDNS    = 53
)

func chooseUplink(taken []netip.Prefix) uplink {
	for _, c := range candidates {
		p := netip.MustParsePrefix(c)
		free := true
		for _, t := range taken {
			free = free && !t.Overlaps(p)
		}
		if free {
			return uplink{p, netip.MustParsePrefix(uplinkNet6)}
		}
	}
	return uplink{netip.MustParsePrefix(candidates[0]), netip.MustParsePrefix(uplinkNet6)}
}

// loadUplink reads the choice, or makes it.
func loadUplink(db *store.Store, taken []netip.Prefix) (u uplink, err error) {
	const key = "addresses"
	err = db.View(func(tx *store.Tx) error {
		u, err = uplinks.Get(tx, key)
		return err
	})
	if !errdefs.IsNotFound(err) {
		return u, err
	}
	u = chooseUplink(taken)
	return u, db.Update(func(tx *store.Tx) error { return uplinks.Put(tx, key, u) })
}

func (u uplink) four(last byte) netip.Addr {
	a := u.Net4.Addr().As4()
	a[3] = last
	return netip.AddrFrom4(a)
}

func (u uplink) six(last byte) netip.Addr {
	a := u.Net6.Addr().As16()
	a[15] = last
	return netip.AddrFrom16(a)
}

// setUplink tells vmhelper where the way out ends.
func (f *Fabric) setUplink(ctx context.Context) error {
	req := &vmhelperv1.SetUplinkRequest{
		SandboxId: f.helper.id, Link: linkUplink, Mtu: uplinkMTU,
		HelperAddress:  netip.PrefixFrom(f.uplink.four(uplinkHelper), linkBits).String(),
		HelperAddress6: netip.PrefixFrom(f.uplink.six(uplinkHelper), f.uplink.Net6.Bits()).String(),
		Address:        f.uplink.four(uplinkOther).String(), Address6: f.uplink.six(uplinkOther).String(),
		DnsAddress: f.uplink.four(uplinkDNS).String(), HostAddress: f.uplink.four(uplinkHost).String(), Denied: f.denied,
	}
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
		_, err := n.SetUplink(ctx, req)
		return err
	})
	if err != nil {
		return fmt.Errorf("set the uplink: %w", err)
	}
	return nil
}

// helperUplink is the same as the helper is told it.
func (f *Fabric) helperUplink() *networkv1.Uplink {
	return &networkv1.Uplink{
		Link: linkUplink, Mtu: uplinkMTU,
		Address:  netip.PrefixFrom(f.uplink.four(uplinkHelper), linkBits).String(),
		Address6: netip.PrefixFrom(f.uplink.six(uplinkHelper), f.uplink.Net6.Bits()).String(),
		NextHop:  f.uplink.four(uplinkOther).String(), NextHop6: f.uplink.six(uplinkOther).String(),
		DnsAddress: f.uplink.four(uplinkDNS).String(), HostAddress: f.uplink.four(uplinkHost).String(),
	}
}

// HostAddress is what host.docker.internal stands for.
func (f *Fabric) HostAddress() netip.Addr { return f.uplink.four(uplinkHost) }

// routesAge is how long the host's routes are believed.
const routesAge = time.Second

// ReservedSubnets are the uplink's own and those of the host's routes.
func (f *Fabric) ReservedSubnets() []netip.Prefix {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.routesRead) > routesAge {
		routes, err := hostRoutes()
		if err != nil {
			f.log.Warn("read the host's routes", "error", err)
		} else {
			f.routes, f.routesRead = routes, time.Now()
		}
	}
	return append([]netip.Prefix{f.uplink.Net4, f.uplink.Net6}, f.routes...)
}

// Upstreams are the DNS servers reached from an endpoint of n: the helper's forwarder behind its gateway.
func (f *Fabric) Upstreams(n *desired.Network) (all []string) {
	if n.Internal || n.Gateway == nil {
		return nil
	}
	for _, p := range n.Pools {
		if p.Gateway.IsValid() {
			all = append(all, netip.AddrPortFrom(p.Gateway, 53).String())
		}
	}
	return all
}

// keeps tells whether a route of the host keeps networks from its addresses.
func keeps(p netip.Prefix) bool {
	a := p.Addr()
	return p.Bits() > 0 && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast()
}
