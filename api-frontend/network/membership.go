package network

import (
	"cmp"
	"slices"
	"strings"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Membership is what the running container has of networks; nil: nothing.
func (s *Service) Membership(container string) *desired.Membership {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.runs[container]
	if r == nil {
		return nil
	}
	return s.membershipLocked(r)
}

func (s *Service) membershipLocked(r *run) *desired.Membership {
	m := &desired.Membership{
		ContainerID: r.ContainerID, Endpoints: linked(r.Endpoints), Networks: map[string]*desired.Network{}, HostAddress: s.fabric.HostAddress(),
	}
	outside := false
	for _, ep := range byRank(m.Endpoints, s.networks) {
		n := s.networks[ep.NetworkID]
		if n == nil {
			continue
		}
		m.Networks[n.ID] = n
		m.Resolver = m.Resolver || n.Resolves()
		if n.Internal || n.Gateway == nil {
			continue
		}
		outside = true
		for _, server := range s.fabric.Upstreams(n) {
			if !slices.Contains(m.Upstreams, server) {
				m.Upstreams = append(m.Upstreams, server)
			}
		}
	}
	m.NoForward = !outside
	return m
}

// byRank sorts endpoints as dockerd does to find the one with the default route, and in which names are looked up.
func byRank(eps []*desired.Endpoint, networks map[string]*desired.Network) []*desired.Endpoint {
	return slices.SortedFunc(slices.Values(eps), func(a, b *desired.Endpoint) int {
		m, n := networks[a.NetworkID], networks[b.NetworkID]
		if m == nil || n == nil {
			return cmp.Compare(a.NetworkID, b.NetworkID)
		}
		if c := cmp.Compare(b.GwPriority, a.GwPriority); c != 0 {
			return c
		}
		if m.Internal != n.Internal {
			if n.Internal {
				return -1
			}
			return 1
		}
		if c := cmp.Compare(ways(b, n), ways(a, m)); c != 0 {
			return c
		}
		return strings.Compare(m.Name, n.Name)
	})
}

// leads tells whether an endpoint can have the default route of a family.
func leads(ep *desired.Endpoint, n *desired.Network, v6 bool) bool {
	address := ep.IPv4
	if v6 {
		address = ep.IPv6
	}
	return address.IsValid() && !n.Internal && n.GatewayAddress(v6).IsValid()
}

// ways counts the families of which an endpoint can have the default route.
func ways(ep *desired.Endpoint, n *desired.Network) (count int) {
	for _, v6 := range []bool{false, true} {
		if leads(ep, n, v6) {
			count++
		}
	}
	return count
}

// gateways finds the endpoints with the default routes: the first of both families, else the first of each.
func gateways(eps []*desired.Endpoint, networks map[string]*desired.Network) (four, six *desired.Endpoint) {
	for _, ep := range byRank(eps, networks) {
		n := networks[ep.NetworkID]
		if n == nil {
			continue
		}
		can4, can6 := leads(ep, n, false), leads(ep, n, true)
		if can4 && can6 {
			return ep, ep
		}
		if can4 && four == nil {
			four = ep
		}
		if can6 && six == nil {
			six = ep
		}
	}
	return four, six
}
