package network

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Disconnect takes a container out of a network.
func (s *Service) Disconnect(ctx context.Context, ref, container string, force bool) error {
	rec, err := s.containers.RecordOf(container)
	if err != nil {
		if force && errdefs.IsNotFound(err) {
			return s.evict(ctx, ref, container)
		}
		return err
	}
	var left *desired.Network
	_, err = s.containers.ChangeNetworking(ctx, rec.ID, func(rec *record.Container) (err error) {
		left, err = s.disconnect(ctx, rec, ref, force)
		return err
	})
	if err != nil {
		return err
	}
	if left != nil {
		s.tell(left, events.ActionDisconnect, rec.ID)
	}
	return nil
}

// disconnect is Disconnect under the container's turn. It returns the network if the container runs.
func (s *Service) disconnect(ctx context.Context, rec *record.Container, ref string, force bool) (*desired.Network, error) {
	done, err := s.turns.take(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	n, err := s.find(ref)
	r := s.run(rec.ID)
	if r == nil || err != nil && force {
		return nil, s.drop(rec, n, ref)
	}
	if err != nil {
		return nil, err
	}
	if rec.HostConfig.NetworkMode.IsHost() && n.Driver == "host" {
		return nil, errOfHost
	}
	i := slices.IndexFunc(r.Endpoints, func(ep *desired.Endpoint) bool { return ep.NetworkID == n.ID })
	if i < 0 {
		if s.strike(rec, n, n.Name) {
			return nil, nil // An earlier attempt was cut short.
		}
		return nil, notConnected(rec.ID, n.Name)
	}
	if err := s.unplug(ctx, rec, r, r.Endpoints[i]); err != nil {
		return nil, err
	}
	s.strike(rec, n, n.Name)
	return n, nil
}

// drop takes a network out of the record of a container that does not run.
func (s *Service) drop(rec *record.Container, n *desired.Network, ref string) error {
	if err := removing(rec); err != nil {
		return err
	}
	if n != nil {
		ref = n.Name
	}
	if !s.strike(rec, n, ref) {
		return internal("container %s is not connected to the network %s", rec.ID, ref)
	}
	return nil
}

// strike takes the references to a network out of a record.
func (s *Service) strike(rec *record.Container, n *desired.Network, name string) bool {
	next := maps.Clone(rec.Networking)
	for ref := range rec.Networking {
		other, err := s.find(ref)
		if ref == name || err == nil && n != nil && other.ID == n.ID {
			delete(next, ref)
		}
	}
	found := len(next) < len(rec.Networking)
	rec.Networking = next
	return found
}

// unplug ends one endpoint of a running container: its rights first.
func (s *Service) unplug(ctx context.Context, rec *record.Container, before *run, ep *desired.Endpoint) error {
	after, err := s.without(rec, before, ep)
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := s.silence(ctx, linked([]*desired.Endpoint{ep})); err != nil {
		return err
	}
	neighbours := s.neighbours(before)
	s.writing.Lock()
	err = s.commit(putRun(after))
	s.writing.Unlock()
	if err != nil {
		return err
	}
	// The endpoint is over, whatever becomes of its interface.
	errs := []error{s.turnOver(ctx, before, after), s.containers.Plug(ctx, rec.ID, s.Membership(rec.ID))}
	if ep.Link != "" {
		errs = append(errs, s.fabric.RemoveLink(ctx, ep))
	}
	if err := errors.Join(errs...); err != nil {
		s.cfg.Log.Warn("a container was disconnected with losses", "container", rec.ID, "network", ep.NetworkID, "error", err)
	}
	return s.spread(ctx, append(neighbours, rec.ID))
}

// without is a run without one endpoint.
func (s *Service) without(rec *record.Container, before *run, ep *desired.Endpoint) (*run, error) {
	after := before.with(nil)
	for _, other := range before.Endpoints {
		if other != ep {
			after.Endpoints = append(after.Endpoints, other)
		}
	}
	// The ports of the endpoint that goes may open again on another one, with their numbers.
	all := append(slices.Clone(after.Endpoints), &desired.Endpoint{Ports: ep.Ports})
	s.mu.RLock()
	networks := maps.Clone(s.networks)
	s.mu.RUnlock()
	arranged, err := s.arrange(all, networks, rec)
	if err != nil {
		return nil, err
	}
	after.Endpoints = arranged[:len(arranged)-1]
	return after, nil
}

// evict ends an endpoint by the name of its container, which is not known any more.
func (s *Service) evict(ctx context.Context, ref, name string) error {
	n, err := s.find(ref)
	if err != nil {
		return err
	}
	s.mu.RLock()
	owner := ""
	for id, r := range s.runs {
		for _, ep := range r.Endpoints {
			if ep.NetworkID == n.ID && ep.Names[0] == name {
				owner = id
			}
		}
	}
	s.mu.RUnlock()
	if owner == "" {
		return refusal{"endpoint " + name + " not found", errdefs.ErrNotFound}
	}
	return s.Leave(ctx, owner)
}
