package volume

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/store"
)

func get(tx *store.Tx, name string) (Record, error) {
	r, err := records.Get(tx, name)
	if errdefs.IsNotFound(err) {
		err = errNoSuchVolume
	}
	return r, opError("get", name, err)
}

// Record returns what is known of a volume.
func (s *Service) Record(name string) (r Record, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		r, err = get(tx, name)
		return err
	})
	return r, err
}

// Get returns a volume as clients see it.
func (s *Service) Get(_ context.Context, name string) (volume.Volume, error) {
	r, err := s.Record(name)
	if err != nil {
		return volume.Volume{}, err
	}
	return s.api(r), nil
}

// ContainersUsing returns the IDs of the containers that use a volume.
func (s *Service) ContainersUsing(name string) []string {
	r, err := s.Record(name)
	if err != nil {
		return nil
	}
	return r.Users
}

// List returns the volumes that pass a filter of dangling, driver, label and name, sorted by name.
func (s *Service) List(_ context.Context, f filter.Filter) ([]volume.Volume, error) {
	if err := f.Validate("dangling", "driver", "label", "name"); err != nil {
		return nil, err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return nil, err
	}
	found, err := s.find(func(r Record) bool {
		return f.ExactMatch("driver", Driver) &&
			f.Match("name", r.Name) &&
			f.MatchKVList("label", r.Labels) &&
			(!f.Contains("dangling") || dangling == (len(r.Users) == 0))
	})
	if err != nil {
		return nil, err
	}
	list := make([]volume.Volume, 0, len(found))
	for _, r := range found {
		list = append(list, s.api(r))
	}
	return list, nil
}

// find returns the records that pass, sorted by name.
func (s *Service) find(pass func(Record) bool) ([]Record, error) {
	var found []Record
	err := s.db.View(func(tx *store.Tx) error {
		return records.Each(tx, func(_ string, r Record) error {
			if pass(r) {
				found = append(found, r)
			}
			return nil
		})
	})
	return slices.Clip(found), err
}

// Usage returns the volumes that have a store of their own with their sizes, for system/df.
func (s *Service) Usage(ctx context.Context) ([]volume.Volume, error) {
	found, err := s.find(func(r Record) bool { return len(r.Options) == 0 })
	if err != nil {
		return nil, err
	}
	list := make([]volume.Volume, 0, len(found))
	for _, r := range found {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		size, err := s.stores.UsageVolume(ctx, r.ID)
		if err != nil {
			size = -1 // Docker's "not available".
		}
		v := s.api(r)
		v.UsageData = &volume.UsageData{Size: size, RefCount: int64(len(r.Users))}
		list = append(list, v)
	}
	return list, nil
}
