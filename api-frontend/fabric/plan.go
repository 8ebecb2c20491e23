package fabric

import (
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// state is everything as the helper is told it.
func (h *helper) state(s desired.State) *networkv1.State {
	out := &networkv1.State{Uplink: h.f.helperUplink(), OvsLink: linkOVS}
	if h.f.LinkTrunk() {
		out.GatewayTrunk = linkGateways
	}
	for _, n := range s.Networks {
		out.Networks = append(out.Networks, h.network(n))
	}
	for _, ep := range s.Endpoints {
		out.Endpoints = append(out.Endpoints, helperEndpoint(ep))
	}
	return out
}

func (h *helper) network(n *desired.Network) *networkv1.Network {
	out := &networkv1.Network{
		Id: n.ID, Internal: n.Internal, Isolated: n.Isolated, Masquerade: n.Masquerade, Mtu: n.MTU,
	}
	if out.Mtu == 0 {
		out.Mtu = h.f.MTU()
	}
	for _, p := range n.Pools {
		s := &networkv1.Subnet{Cidr: p.Subnet.String()}
		if p.Gateway.IsValid() {
			s.Gateway = p.Gateway.String()
		}
		out.Subnets = append(out.Subnets, s)
	}
	if g := n.Gateway; g != nil {
		out.Gateway = &networkv1.Gateway{Link: h.f.gatewayLink(g), Mac: g.MAC, OvsTag: uint32(g.OVSTag), EndpointId: g.EndpointID}
		if h.f.LinkTrunk() {
			out.Gateway.Tag = uint32(g.Tag)
		}
	}
	for _, r := range n.Rules {
		out.Rules = append(out.Rules, rule(r))
	}
	return out
}

var directions = map[string]networkv1.Rule_Direction{
	"": networkv1.Rule_ANY, "between": networkv1.Rule_BETWEEN, "out": networkv1.Rule_OUT, "in": networkv1.Rule_IN,
}

func rule(r desired.Rule) *networkv1.Rule {
	return &networkv1.Rule{
		Name: r.Name, Allow: r.Allow, Direction: directions[r.Direction], Protocol: r.Protocol,
		Sources: prefixes(r.Sources), Destinations: prefixes(r.Destinations), PortFirst: uint32(r.PortFirst), PortLast: uint32(r.PortLast),
	}
}

func prefixes(ps []netip.Prefix) (all []string) {
	for _, p := range ps {
		all = append(all, p.String())
	}
	return all
}

func helperEndpoint(ep *desired.Endpoint) *networkv1.Endpoint {
	return &networkv1.Endpoint{
		Id: ep.ID, NetworkId: ep.NetworkID, Generation: ep.Generation, Mac: ep.MAC, Addresses: addresses(ep), OvsTag: uint32(ep.OVSTag),
		AnySource: ep.AnySource,
	}
}
