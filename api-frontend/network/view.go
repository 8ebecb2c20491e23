package network

import (
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Complete adds to what inspect shows of a container what its run has of networks.
func (s *Service) Complete(settings *view.NetworkSettings, rec *record.Container) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.runs[rec.ID]
	shown := map[string]*network.EndpointSettings{}
	for ref, given := range settings.Networks {
		out := network.EndpointSettings{}
		if given != nil {
			out = *given.Copy()
		}
		n, err := s.findLocked(ref)
		if err != nil {
			shown[ref] = &out
			continue
		}
		shown[n.Name] = &out
		if rec.State.StartedAt.IsZero() && r == nil {
			continue
		}
		out.NetworkID, out.MacAddress = n.ID, nil
		if r == nil {
			continue
		}
		if i := slices.IndexFunc(r.Endpoints, func(ep *desired.Endpoint) bool { return ep.NetworkID == n.ID }); i >= 0 {
			complete(&out, r.Endpoints[i], n)
		}
	}
	settings.Networks = shown
	legacy(settings, shown[network.NetworkBridge])
	if r != nil {
		settings.Ports = published(rec, linked(r.Endpoints))
	}
}

func complete(out *network.EndpointSettings, ep *desired.Endpoint, n *desired.Network) {
	out.EndpointID, out.MacAddress = ep.ID, network.HardwareAddr(ep.MAC)
	if n.Resolves() {
		out.DNSNames = ep.Names
	}
	if ep.IPv4.IsValid() {
		out.IPAddress, out.IPPrefixLen = ep.IPv4.Addr(), ep.IPv4.Bits()
		if !n.Internal {
			out.Gateway = n.GatewayAddress(false)
		}
	}
	if ep.IPv6.IsValid() {
		out.GlobalIPv6Address, out.GlobalIPv6PrefixLen = ep.IPv6.Addr(), ep.IPv6.Bits()
		if !n.Internal {
			out.IPv6Gateway = n.GatewayAddress(true)
		}
	}
}

// legacy fills what old clients read of the default network.
func legacy(settings *view.NetworkSettings, b *network.EndpointSettings) {
	if b == nil || b.EndpointID == "" {
		return
	}
	text := func(valid bool, s string) string {
		if valid {
			return s
		}
		return ""
	}
	settings.EndpointID, settings.MacAddress = b.EndpointID, b.MacAddress.String()
	settings.Gateway, settings.IPv6Gateway = text(b.Gateway.IsValid(), b.Gateway.String()), text(b.IPv6Gateway.IsValid(), b.IPv6Gateway.String())
	settings.IPAddress, settings.IPPrefixLen = text(b.IPAddress.IsValid(), b.IPAddress.String()), b.IPPrefixLen
	settings.GlobalIPv6Address, settings.GlobalIPv6PrefixLen = text(b.GlobalIPv6Address.IsValid(), b.GlobalIPv6Address.String()), b.GlobalIPv6PrefixLen
}

// published are the ports that a running container exposes, and where they are published. A container in host or none shows
// no ports.
func published(rec *record.Container, eps []*desired.Endpoint) network.PortMap {
	out := network.PortMap{}
	if len(eps) == 0 {
		return out
	}
	for p := range rec.Config.ExposedPorts {
		out[p] = nil
	}
	for _, ep := range eps {
		for _, p := range ep.Ports {
			port, ok := network.PortFrom(p.ContainerPort, network.IPProtocol(p.Protocol))
			if !ok || p.HostPort == 0 {
				continue
			}
			for _, a := range p.HostIPs {
				out[port] = append(out[port], network.PortBinding{HostIP: a, HostPort: strconv.Itoa(int(p.HostPort))})
			}
		}
	}
	return out
}

// Ports are the open ports of a running container, and its exposed ones, as inspect and ps show them.
func (s *Service) Ports(rec *record.Container) network.PortMap {
	r := s.run(rec.ID)
	if r == nil {
		return network.PortMap{}
	}
	return published(rec, linked(r.Endpoints))
}
