package network

import (
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// List shows the networks that the filters let through.
func (s *Service) List(f filter.Filter) ([]network.Inspect, error) {
	if err := f.Validate("dangling", "driver", "id", "label", "name", "scope", "type"); err != nil {
		return nil, err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return nil, refusal{`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`, errdefs.ErrInvalidArgument}
	}
	for _, t := range f.Get("type") {
		if t != "custom" && t != "builtin" {
			return nil, refusal{fmt.Sprintf("invalid filter: 'type'='%s'", t), errdefs.ErrInvalidArgument}
		}
	}
	list := []network.Inspect{}
	for _, n := range s.all() {
		kind := "custom"
		if n.Predefined {
			kind = "builtin"
		}
		if !f.ExactMatch("type", kind) || !f.ExactMatch("driver", driverOf(n)) || !f.ExactMatch("scope", localScope) ||
			!f.Match("name", n.Name) || !f.Match("id", n.ID) || !f.MatchKVList("label", n.Labels) {
			continue
		}
		if f.Contains("dangling") && dangling != (!n.Predefined && !s.used(n.ID)) {
			continue
		}
		list = append(list, network.Inspect{Network: show(n), Containers: map[string]network.EndpointResource{}})
	}
	return list, nil
}

const localScope = "local"

// Inspect shows one network and who is in it.
func (s *Service) Inspect(ref string) (network.Inspect, error) {
	n, err := s.find(ref)
	if err != nil {
		return network.Inspect{}, err
	}
	out := network.Inspect{Network: show(n), Containers: map[string]network.EndpointResource{}}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, r := range s.runs {
		for _, ep := range r.Endpoints {
			if ep.NetworkID == n.ID {
				out.Containers[id] = network.EndpointResource{
					Name: ep.Names[0], EndpointID: ep.ID, MacAddress: ep.MAC, IPv4Address: ep.IPv4, IPv6Address: ep.IPv6,
				}
			}
		}
	}
	return out, nil
}

// show is a network as the API has it.
func show(n *desired.Network) network.Network {
	out := network.Network{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: localScope, Driver: driverOf(n), EnableIPv4: n.EnableIPv4, EnableIPv6: n.EnableIPv6,
		IPAM: n.IPAM, Internal: n.Internal, Attachable: n.Attachable, ConfigOnly: n.ConfigOnly,
		ConfigFrom: network.ConfigReference{Network: n.ConfigFrom}, Options: maps.Clone(n.Options), Labels: maps.Clone(n.Labels),
	}
	if out.IPAM.Config == nil {
		out.IPAM.Config = []network.IPAMConfig{}
	}
	if out.Options == nil {
		out.Options = map[string]string{}
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return out
}
