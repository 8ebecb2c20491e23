package oci

import (
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// NetworkConfig is what a container's network namespace shall have. mtu is the driver's default.
func NetworkConfig(c *record.Container, m *desired.Membership, w *World, mtu uint32) *guestv1.NetworkConfig {
	if m == nil {
		return nil
	}
	cfg := &guestv1.NetworkConfig{}
	for _, ep := range m.Endpoints {
		if ep.Link == "" {
			continue // In no network.
		}
		cfg.Interfaces = append(cfg.Interfaces, endpointInterface(ep, m.Networks[ep.NetworkID], mtu))
	}
	if m.Resolver {
		cfg.Resolver = &guestv1.Resolver{Upstreams: m.Upstreams, NoForward: m.NoForward}
		if servers := dnsServers(c, w); len(servers) > 0 {
			cfg.Resolver.Upstreams = nil
			for _, a := range servers {
				cfg.Resolver.Upstreams = append(cfg.Resolver.Upstreams, netip.AddrPortFrom(a, 53).String())
			}
		}
	}
	return cfg
}

func endpointInterface(ep *desired.Endpoint, n *desired.Network, mtu uint32) *guestv1.Interface {
	i := &guestv1.Interface{
		Link: ep.Link, Tag: uint32(ep.Tag), Name: ep.Interface, Mac: ep.MAC, Mtu: mtu, Sysctls: ep.Sysctls,
	}
	if n.MTU > 0 {
		i.Mtu = n.MTU
	}
	for _, p := range append([]netip.Prefix{ep.IPv4, ep.IPv6}, ep.More...) {
		if p.IsValid() {
			i.Addresses = append(i.Addresses, p.String())
		}
	}
	if ep.Default4 {
		i.Gateway = gateway(n, ep.IPv4.Addr())
	}
	if ep.Default6 {
		i.Gateway6 = gateway(n, ep.IPv6.Addr())
	}
	return i
}

// gateway is the gateway of the pool that an address is of; empty: it has none.
func gateway(n *desired.Network, a netip.Addr) string {
	for _, p := range n.Pools {
		if a.IsValid() && p.Subnet.Contains(a) && p.Gateway.IsValid() {
			return p.Gateway.String()
		}
	}
	return ""
}

// dnsServers are the servers that the client or daemon.json names.
func dnsServers(c *record.Container, w *World) (servers []netip.Addr) {
	for _, a := range c.HostConfig.DNS {
		if a.IsValid() {
			servers = append(servers, a)
		}
	}
	if len(servers) > 0 {
		return servers
	}
	return w.DNS
}
