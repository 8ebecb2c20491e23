package network

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
)

// Create refuses to make a network.
func (s *Service) Create(req *network.CreateRequest) error {
	switch {
	case req.Name == "":
		return errNoName
	case predefined(req.Name):
		return refusal{fmt.Sprintf("operation is not permitted on predefined %s network ", req.Name), errdefs.ErrPermissionDenied}
	}
	return errUserDefined
}

// Remove refuses to remove a network.
func (s *Service) Remove(ref string) error {
	n, err := s.find(ref)
	if err != nil {
		return err
	}
	return refusal{fmt.Sprintf("%s is a pre-defined network and cannot be removed", n.Name), errdefs.ErrPermissionDenied}
}

// Attach refuses to connect or disconnect a container.
func (s *Service) Attach(ref, container string) error {
	if _, err := s.containers.RecordOf(container); err != nil {
		return err
	}
	if _, err := s.find(ref); err != nil {
		return err
	}
	return errAttach
}

// Prune removes nothing: none but the predefined networks are there, and those stay.
func (s *Service) Prune(f filter.Filter) (network.PruneReport, error) {
	if err := f.Validate("label", "label!", "until"); err != nil {
		return network.PruneReport{}, err
	}
	s.events.Publish(events.Message{Type: events.NetworkEventType, Action: events.ActionPrune, Actor: events.Actor{Attributes: map[string]string{"reclaimed": "0"}}})
	return network.PruneReport{NetworksDeleted: []string{}}, nil
}
