package network

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Connect connects a container to a network: a running one at once.
func (s *Service) Connect(ctx context.Context, ref, container string, settings *network.EndpointSettings) error {
	rec, err := s.containers.RecordOf(container)
	if err != nil {
		return err
	}
	if settings == nil {
		settings = &network.EndpointSettings{}
	}
	var connected *desired.Network
	_, err = s.containers.ChangeNetworking(ctx, rec.ID, func(rec *record.Container) (err error) {
		connected, err = s.connect(ctx, rec, ref, settings)
		return err
	})
	if err != nil {
		return err
	}
	if connected == nil {
		return nil
	}
	s.tell(connected, events.ActionConnect, rec.ID)
	if len(settings.Links) == 0 {
		return nil
	}
	// Its own names for others are in the record, which is committed only now: another table with another generation.
	s.mu.Lock()
	s.version = s.generation()
	s.mu.Unlock()
	return s.spread(ctx, []string{rec.ID})
}

// connect is Connect under the container's turn. It returns the network if the container runs.
func (s *Service) connect(ctx context.Context, rec *record.Container, ref string, settings *network.EndpointSettings) (*desired.Network, error) {
	done, err := s.turns.take(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := removing(rec); err != nil {
		return nil, err
	}
	if rec.HostConfig.NetworkMode.IsContainer() {
		return nil, errShared
	}
	n, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoint(n, n.Name, settings); err != nil {
		return nil, invalid("%v", err)
	}
	r := s.run(rec.ID)
	is, err := s.admit(rec, r, n)
	switch {
	case err != nil:
		return nil, err
	case is && r == nil:
		return nil, nil // As dockerd: it is there already.
	case is:
		return nil, forbidden("endpoint with name %s already exists in network %s", rec.Name, n.Name)
	case n.ConfigOnly:
		return nil, forbidden("cannot create endpoint on configuration-only network")
	}
	rec.Networking = maps.Clone(rec.Networking)
	if rec.Networking == nil {
		rec.Networking = map[string]*network.EndpointSettings{}
	}
	rec.Networking[n.Name] = asked(settings)
	if r == nil {
		return nil, nil
	}
	return n, s.plugIn(ctx, rec, n, settings)
}

// admit tells whether the container is in the network already, and refuses networks that do not go together. Of one that
// runs the run decides, whatever its record says.
func (s *Service) admit(rec *record.Container, r *run, n *desired.Network) (is bool, err error) {
	if n.Driver == "host" && !rec.HostConfig.NetworkMode.IsHost() {
		return false, errToHost
	}
	for ref := range rec.Networking {
		other, err := s.find(ref)
		if err != nil {
			continue
		}
		if other.ID == n.ID {
			is = true
			continue
		}
		if err := compatible(other, n); err != nil {
			return false, err
		}
	}
	if r != nil {
		is = slices.ContainsFunc(r.Endpoints, func(ep *desired.Endpoint) bool { return ep.NetworkID == n.ID })
	}
	return is, nil
}

// asked are the settings without what the engine alone says.
func asked(settings *network.EndpointSettings) *network.EndpointSettings {
	c := settings.Copy()
	return &network.EndpointSettings{
		IPAMConfig: c.IPAMConfig, Links: c.Links, Aliases: c.Aliases, DriverOpts: c.DriverOpts, GwPriority: c.GwPriority, MacAddress: c.MacAddress,
	}
}

func removing(rec *record.Container) error {
	if rec.State.Status == record.Removing || rec.State.Status == record.Dead {
		return internal("Container %s is marked for removal and cannot be connected or disconnected to the network", rec.ID)
	}
	return nil
}

// plugIn gives a running container another endpoint, or leaves it as it was.
func (s *Service) plugIn(ctx context.Context, rec *record.Container, n *desired.Network, settings *network.EndpointSettings) error {
	before, after, ep, err := s.extend(rec, n, settings)
	if err != nil {
		return err
	}
	err = s.fabric.AddLink(ctx, ep)
	if err == nil {
		err = s.turnOver(ctx, before, after)
	}
	if err == nil {
		err = s.containers.Plug(ctx, rec.ID, s.Membership(rec.ID))
	}
	if err != nil {
		return errors.Join(err, s.retreat(ctx, rec, before, ep))
	}
	return s.spread(ctx, append(s.neighbours(after), rec.ID))
}

// spread tells containers the names that are committed now, and waits until those that can be told were.
func (s *Service) spread(ctx context.Context, ids []string) error {
	s.herald.announce(ids...)
	return wait(ctx, s.herald.heard(ids...))
}

// extend commits a run with one more endpoint.
func (s *Service) extend(rec *record.Container, n *desired.Network, settings *network.EndpointSettings) (before, after *run, ep *desired.Endpoint, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	before = s.run(rec.ID)
	if before == nil {
		return nil, nil, nil, conflict("container %s is not running", rec.ID)
	}
	if s.network(n.ID) == nil {
		return nil, nil, nil, notFound(n.Name)
	}
	u := s.usage()
	if ep, err = s.plan(u, rec, wish{n, settings}, before.Endpoints); err != nil {
		return nil, nil, nil, err
	}
	eps, err := s.arrange(append(slices.Clone(before.Endpoints), ep), u.networks, rec)
	if err != nil {
		return nil, nil, nil, err
	}
	after = before.with(eps)
	return before, after, ep, s.commit(putRun(after))
}

// turnOver makes the world from one committed state of a run to the next: ports that go are closed, endpoints that are new
// or changed are granted, their ports opened.
func (s *Service) turnOver(ctx context.Context, before, after *run) error {
	var closing []string
	for _, ep := range before.Endpoints {
		now := endpointOf(after, ep.ID)
		if now == nil || len(now.Ports) == 0 {
			for _, p := range ep.Ports {
				closing = append(closing, p.ID)
			}
		}
	}
	if len(closing) > 0 {
		if err := s.fabric.Unpublish(ctx, closing...); err != nil {
			return err
		}
	}
	var changed []*desired.Endpoint
	for _, ep := range linked(after.Endpoints) {
		if was := endpointOf(before, ep.ID); was != ep {
			changed = append(changed, ep)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := s.fabric.Grant(ctx, changed...); err != nil {
		return err
	}
	open := make([]*desired.Endpoint, 0, len(changed))
	for _, ep := range changed {
		next := ep
		if was := endpointOf(before, ep.ID); was == nil || len(was.Ports) == 0 {
			var err error
			if next, err = s.publish(ctx, ep); err != nil {
				return err
			}
		}
		open = append(open, next)
	}
	return s.replace(after.ContainerID, open)
}

func endpointOf(r *run, id string) *desired.Endpoint {
	for _, ep := range r.Endpoints {
		if ep.ID == id {
			return ep
		}
	}
	return nil
}

// retreat undoes a connection that failed, even when the client has left. An endpoint that cannot be silenced stays
// committed, and with it what it has, until the run ends.
func (s *Service) retreat(ctx context.Context, rec *record.Container, before *run, ep *desired.Endpoint) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	now := s.run(rec.ID)
	if added := endpointOf(now, ep.ID); added != nil {
		ep = added
	}
	if err := s.silence(ctx, []*desired.Endpoint{ep}); err != nil {
		return err
	}
	back := before.with(nil)
	for _, old := range before.Endpoints {
		again := *old
		again.Generation = s.generation()
		back.Endpoints = append(back.Endpoints, &again)
	}
	s.writing.Lock()
	err := s.commit(putRun(back))
	s.writing.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(s.turnOver(ctx, now, back), s.fabric.RemoveLink(ctx, ep), s.containers.Plug(ctx, rec.ID, s.Membership(rec.ID)))
}
