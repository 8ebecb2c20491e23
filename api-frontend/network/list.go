package network

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
)

// List shows the networks that the filters let through.
func (s *Service) List(f filter.Filter) ([]network.Inspect, error) {
	if err := f.Validate("dangling", "driver", "id", "label", "name", "scope", "type"); err != nil {
		return nil, err
	}
	unused, err := f.Bool("dangling", false)
	if err != nil {
		return nil, refusal{`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`, errdefs.ErrInvalidArgument}
	}
	for _, t := range f.Get("type") {
		if t != "custom" && t != "builtin" {
			return nil, refusal{fmt.Sprintf("invalid filter: 'type'='%s'", t), errdefs.ErrInvalidArgument}
		}
	}
	list := []network.Inspect{}
	for _, n := range s.networks {
		// A predefined network is never dangling, and has no label.
		if unused || f.Contains("label") || !f.ExactMatch("type", "builtin") || !f.ExactMatch("driver", n.Driver) || !f.ExactMatch("scope", n.Scope) ||
			!f.Match("name", n.Name) || !f.Match("id", n.ID) {
			continue
		}
		list = append(list, network.Inspect{Network: n, Containers: map[string]network.EndpointResource{}})
	}
	return list, nil
}
