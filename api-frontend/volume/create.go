package volume

import (
	"context"
	"fmt"
	"maps"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/internal/failpoint"
)

// Request asks for a volume. Without a name it is an anonymous one.
type Request struct {
	Name    string
	Driver  string // "" or "local".
	Options map[string]string
	Labels  map[string]string
}

// Create makes a volume, or returns the one that has the name already.
func (s *Service) Create(ctx context.Context, req Request) (volume.Volume, error) {
	var r Record
	var created bool
	err := s.db.Update(func(tx *store.Tx) (err error) {
		r, created, err = s.ensure(tx, req)
		return err
	})
	if err != nil {
		return volume.Volume{}, err
	}
	if err := s.prepare(ctx, r); err != nil {
		if created {
			ctx, cancel := cleanup(ctx)
			defer cancel()
			_ = s.Remove(ctx, r.Name, true) // What this leaves behind is a record that still works.
		}
		return volume.Volume{}, opError("create", r.Name, err)
	}
	return s.api(r), nil
}

// Acquire makes a volume if it is missing and notes a container as its user, in the transaction that makes the container.
// Prepare must follow before the container starts.
func (s *Service) Acquire(tx *store.Tx, containerID string, req Request) (Record, error) {
	r, _, err := s.ensure(tx, req)
	if err != nil {
		return Record{}, err
	}
	if r.addUser(containerID) {
		err = records.Put(tx, r.Name, r)
	}
	return r, err
}

// Release ends the use of volumes by a container, in the transaction that removes it. Names without volume are no error.
func (s *Service) Release(tx *store.Tx, containerID string, names ...string) error {
	for _, name := range names {
		r, err := records.Get(tx, name)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		if !r.dropUser(containerID) {
			continue
		}
		if err := records.Put(tx, name, r); err != nil {
			return err
		}
	}
	return nil
}

// ensure finds or records the volume that req names.
func (s *Service) ensure(tx *store.Tx, req Request) (r Record, created bool, err error) {
	labels := req.Labels
	if req.Name == "" {
		req.Name = NewID()
		labels = map[string]string{}
		maps.Copy(labels, req.Labels)
		labels[AnonymousLabel] = ""
	}
	defer func() { err = opError("create", req.Name, err) }()
	if req.Driver != "" && req.Driver != Driver {
		return r, false, noSuchPlugin(req.Driver)
	}
	r, err = records.Get(tx, req.Name)
	if !errdefs.IsNotFound(err) {
		return r, false, err
	}
	if err := CheckName(req.Name); err != nil {
		return r, false, err
	}
	if _, err := parseOptions(req.Options); err != nil {
		return r, false, err
	}
	r = Record{Name: req.Name, ID: NewID(), CreatedAt: s.now(), Labels: labels, Options: req.Options}
	if err := records.Put(tx, r.Name, r); err != nil {
		return r, false, fmt.Errorf("record volume: %w", err)
	}
	tx.OnCommit(func() { s.tell(r.Name, events.ActionCreate, map[string]string{"driver": Driver}) })
	return r, true, nil
}

// Source is where the data of a volume is: a store at vmhelper, or a directory of the host.
type Source struct {
	ID   string // of the store.
	Bind *Bind  // when set, the volume is this directory and has no store.
}

// Prepare makes sure that the stores of volumes exist and tells where the data is, by name. It is called before each
// start of a container.
func (s *Service) Prepare(ctx context.Context, names ...string) (map[string]Source, error) {
	found := make(map[string]Record, len(names))
	err := s.db.View(func(tx *store.Tx) error {
		for _, name := range names {
			r, err := get(tx, name)
			if err != nil {
				return err
			}
			found[name] = r
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sources := make(map[string]Source, len(names))
	for name, r := range found {
		bind, err := parseOptions(r.Options)
		if err != nil {
			return nil, opError("get", name, err)
		}
		if err := s.prepare(ctx, r); err != nil {
			return nil, opError("get", name, err)
		}
		sources[name] = Source{ID: r.ID, Bind: bind}
	}
	return sources, nil
}

// prepare makes the store of a volume, once.
func (s *Service) prepare(ctx context.Context, r Record) error {
	if err := failpoint.Hit("volume/prepare"); err != nil {
		return err
	}
	if bind, err := parseOptions(r.Options); bind != nil || err != nil {
		return err
	}
	if _, ok := s.made.Load(r.ID); ok {
		return nil
	}
	if err := s.stores.CreateVolume(ctx, r.ID); err != nil {
		return fmt.Errorf("make the volume's store: %w", err)
	}
	s.made.Store(r.ID, struct{}{})
	return nil
}
