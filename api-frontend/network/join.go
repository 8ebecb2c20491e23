package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Join commits the endpoints of a run that begins: addresses, MAC addresses, names, ports as asked for. Nobody is told yet:
// that is Open's. What a former run left is ended first. A container without networks of its own gets nil.
func (s *Service) Join(ctx context.Context, rec *record.Container) (*desired.Membership, error) {
	done, err := s.turns.take(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.leave(ctx, rec.ID); err != nil {
		return nil, setup(err)
	}
	r, err := s.join(rec)
	if err != nil || r == nil {
		return nil, setup(err)
	}
	s.herald.follow(rec.ID)
	s.herald.announce(s.neighbours(r)...)
	return s.Membership(rec.ID), nil
}

func (s *Service) join(rec *record.Container) (*run, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	wishes, err := s.wishes(rec)
	if err != nil || len(wishes) == 0 {
		return nil, err
	}
	u := s.usage()
	r := &run{ID: newID(), ContainerID: rec.ID}
	for _, w := range wishes {
		ep, err := s.plan(u, rec, w, r.Endpoints)
		if err != nil {
			return nil, err
		}
		r.Endpoints = append(r.Endpoints, ep)
	}
	if r.Endpoints, err = s.arrange(r.Endpoints, u.networks, rec); err != nil {
		return nil, err
	}
	return r, s.commit(putRun(r))
}

// Open lets the endpoints of a run speak and opens its ports, or does nothing of it. When it returns, the neighbours that
// can be told know the new names.
func (s *Service) Open(ctx context.Context, m *desired.Membership) error {
	if m == nil || len(m.Endpoints) == 0 {
		return nil
	}
	done, err := s.turns.take(ctx, m.ContainerID)
	if err != nil {
		return err
	}
	defer done()
	r := s.run(m.ContainerID)
	if r == nil {
		return setup(conflict("container %s has left its networks", m.ContainerID))
	}
	told := s.herald.heard(s.neighbours(r)...)
	if err := s.open(ctx, r, r.Endpoints); err != nil {
		return setup(err)
	}
	return wait(ctx, told)
}

func (s *Service) run(container string) *run {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.runs[container]
}

// open grants some endpoints of a run and publishes their ports, and commits which ports those are.
func (s *Service) open(ctx context.Context, r *run, eps []*desired.Endpoint) (err error) {
	eps = linked(eps)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.silence(ctx, eps))
		}
	}()
	group, work := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := s.fabric.Grant(work, eps...); err != nil {
			return fmt.Errorf("grant endpoints: %w", err)
		}
		return nil
	})
	open := make([]*desired.Endpoint, len(eps))
	for i, ep := range eps {
		group.Go(func() (err error) {
			open[i], err = s.publish(work, ep)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.replace(r.ContainerID, open)
}

// publish opens the ports of an endpoint, one after the other: exact ones before those of a range.
func (s *Service) publish(ctx context.Context, ep *desired.Endpoint) (*desired.Endpoint, error) {
	if len(ep.Ports) == 0 {
		return ep, nil
	}
	n := s.network(ep.NetworkID)
	next := *ep
	next.Ports = slices.Clone(ep.Ports)
	for i, p := range next.Ports {
		port, err := s.openPort(ctx, ep, n, p)
		if err != nil {
			return nil, notPublished(ep, p, err)
		}
		next.Ports[i].HostPort = port
	}
	return &next, nil
}

// openPort opens a port. One that was open before gets the same number, if nobody has taken it meanwhile.
func (s *Service) openPort(ctx context.Context, ep *desired.Endpoint, n *desired.Network, p desired.Port) (uint16, error) {
	again := p
	again.HostPort = 0
	if p.HostPort != 0 && wide(p) {
		again.First, again.Last = p.HostPort, p.HostPort
		port, err := s.fabric.Publish(ctx, ep, n, again)
		if err == nil || !errdefs.IsAlreadyExists(err) && !errdefs.IsFailedPrecondition(err) {
			return port, err
		}
		again.First, again.Last = p.First, p.Last
	}
	return s.fabric.Publish(ctx, ep, n, again)
}

// replace commits endpoints of a run that have learnt their ports.
func (s *Service) replace(container string, eps []*desired.Endpoint) error {
	if !slices.ContainsFunc(eps, func(ep *desired.Endpoint) bool { return len(ep.Ports) > 0 }) {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	old := s.run(container)
	if old == nil {
		return conflict("container %s has left its networks", container)
	}
	next := old.with(slices.Clone(old.Endpoints))
	for i, ep := range next.Endpoints {
		if j := slices.IndexFunc(eps, func(e *desired.Endpoint) bool { return e.ID == ep.ID }); j >= 0 {
			next.Endpoints[i] = eps[j]
		}
	}
	return s.commit(putRun(next))
}

// silence takes back what open gave, even when the client has left.
func (s *Service) silence(ctx context.Context, eps []*desired.Endpoint) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	var ids, ports []string
	for _, ep := range eps {
		ids = append(ids, ep.ID)
		for _, p := range ep.Ports {
			ports = append(ports, p.ID)
		}
	}
	var unpublished, revoked error
	if len(ports) > 0 {
		unpublished = s.fabric.Unpublish(ctx, ports...)
	}
	if len(ids) > 0 {
		revoked = s.fabric.Revoke(ctx, ids...)
	}
	return errors.Join(unpublished, revoked)
}

// Leave ends what a run has of networks: its ports, its rights, its addresses. A container that has nothing is no error.
// What fails is tried again and again behind the caller's back.
func (s *Service) Leave(ctx context.Context, container string) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	r := s.run(container)
	err := s.end(ctx, container, r)
	if err != nil {
		s.herald.persist(func(ctx context.Context) bool {
			ctx, cancel := context.WithTimeout(ctx, cleanupLimit)
			defer cancel()
			return s.end(ctx, container, r) == nil
		})
	}
	return err
}

// end ends one run; a newer one of the container is left alone.
func (s *Service) end(ctx context.Context, container string, r *run) error {
	done, err := s.turns.take(ctx, container)
	if err != nil {
		return err
	}
	defer done()
	if !same(s.run(container), r) {
		return nil
	}
	return s.leave(ctx, container)
}

// same tells whether two states are of one run.
func same(a, b *run) bool {
	return a == b || a != nil && b != nil && a.ID == b.ID
}

// leave is Leave under the container's turn. Nothing is released before its last revocation.
func (s *Service) leave(ctx context.Context, container string) error {
	r := s.run(container)
	if r == nil {
		return nil
	}
	s.herald.forget(container)
	if err := s.silence(ctx, linked(r.Endpoints)); err != nil {
		return fmt.Errorf("leave networks: %w", err)
	}
	neighbours := s.neighbours(r)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.commit(dropRun(container)); err != nil {
		return err
	}
	s.herald.announce(neighbours...)
	return nil
}

// Forget ends what a removed container left.
func (s *Service) Forget(ctx context.Context, container string) error { return s.Leave(ctx, container) }

// Reconcile ends the runs of containers that do not run, and takes up those that do. Names are told again: whether they
// were before a restart is not known.
func (s *Service) Reconcile(ctx context.Context, running func(id string) bool) error {
	s.mu.RLock()
	ids := slices.Sorted(maps.Keys(s.runs))
	s.mu.RUnlock()
	var errs []error
	for _, id := range ids {
		if !running(id) {
			errs = append(errs, s.Leave(ctx, id))
			continue
		}
		s.herald.follow(id)
		s.herald.announce(id)
		errs = append(errs, s.settle(ctx, id))
	}
	return errors.Join(errs...)
}

// settle ends endpoints of a running container that its record does not know: a connection that was cut short before it was
// committed there.
func (s *Service) settle(ctx context.Context, container string) error {
	done, err := s.turns.take(ctx, container)
	if err != nil {
		return err
	}
	defer done()
	rec, err := s.containers.RecordOf(container)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, ref := range s.order(rec) {
		if n, err := s.find(ref); err == nil {
			known[n.ID] = true
		}
	}
	for _, ep := range s.run(container).Endpoints {
		if !known[ep.NetworkID] {
			if err := s.unplug(ctx, rec, s.run(container), ep); err != nil {
				return err
			}
		}
	}
	return nil
}

// Renamed gives a running container's endpoints its new name.
func (s *Service) Renamed(ctx context.Context, rec *record.Container) error {
	done, err := s.turns.take(ctx, rec.ID)
	if err != nil {
		return err
	}
	defer done()
	s.writing.Lock()
	defer s.writing.Unlock()
	r := s.run(rec.ID)
	if r == nil {
		return nil
	}
	next := r.with(nil)
	for _, ep := range r.Endpoints {
		changed := *ep
		changed.Generation = s.generation()
		if n := s.network(ep.NetworkID); n != nil {
			changed.Names = names(rec, n, settingsOf(rec, n))
		}
		next.Endpoints = append(next.Endpoints, &changed)
	}
	if err := s.commit(putRun(next)); err != nil {
		return err
	}
	s.herald.announce(append(s.neighbours(next), rec.ID)...)
	return nil
}
