package volume

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/store"
)

// Reconcile brings records and stores together after a start: uses by containers that do not exist are dropped, removals
// that were cut are finished, stores without a record are removed. It may be repeated, and run while volumes are in use. A
// container exists when the engine says so or the database has it: one that was committed just now is not known to the
// engine yet. A database that is new does not know the stores that it finds: those are never removed.
func (s *Service) Reconcile(ctx context.Context, exists func(containerID string) bool) error {
	if err := s.dropUsers(exists); err != nil {
		return fmt.Errorf("reconcile users of volumes: %w", err)
	}
	// Listed before the records are read: what is made in between has a record already.
	_, stores, err := s.stores.Stores(ctx)
	if err != nil {
		return fmt.Errorf("reconcile volumes: %w", err)
	}
	known, cut, fresh, err := s.known()
	if err != nil {
		return fmt.Errorf("reconcile volumes: %w", err)
	}
	var errs []error
	for _, r := range cut {
		errs = append(errs, s.unmake(ctx, r))
	}
	for _, id := range stores {
		switch {
		case known[id]:
		case fresh:
			errs = append(errs, s.db.Update(func(tx *store.Tx) error { return foreign.Put(tx, id, struct{}{}) }))
		default:
			if err := s.stores.RemoveVolume(ctx, id); err != nil && !errdefs.IsNotFound(err) {
				errs = append(errs, fmt.Errorf("remove store %s without a volume: %w", id, err))
			}
		}
	}
	err = errors.Join(errs...)
	if err == nil && fresh {
		err = s.db.Update(func(tx *store.Tx) error { return settled.Put(tx, "settled", true) })
	}
	return err
}

// known returns the IDs that have a reason to be, and the removals that were cut.
func (s *Service) known() (known map[string]bool, cut []Record, fresh bool, err error) {
	known = map[string]bool{}
	err = s.db.View(func(tx *store.Tx) error {
		if _, err := settled.Get(tx, "settled"); err != nil {
			if !errdefs.IsNotFound(err) {
				return err
			}
			fresh = true
		}
		return errors.Join(
			records.Each(tx, func(_ string, r Record) error { known[r.ID] = true; return nil }),
			foreign.Each(tx, func(id string, _ struct{}) error { known[id] = true; return nil }),
			removing.Each(tx, func(_ string, r Record) error {
				known[r.ID] = true
				cut = append(cut, r)
				return nil
			}),
		)
	})
	return known, cut, fresh, err
}

func (s *Service) dropUsers(exists func(containerID string) bool) error {
	containers := store.Bucket[struct{}]{Name: record.Bucket}
	return s.db.Update(func(tx *store.Tx) error {
		gone := func(id string) bool {
			_, err := containers.Get(tx, id)
			return errdefs.IsNotFound(err) && !exists(id)
		}
		var changed []Record
		err := records.Each(tx, func(_ string, r Record) error {
			n := len(r.Users)
			for _, id := range append([]string(nil), r.Users...) {
				if gone(id) {
					r.dropUser(id)
				}
			}
			if len(r.Users) != n {
				changed = append(changed, r)
			}
			return nil
		})
		for _, r := range changed {
			err = errors.Join(err, records.Put(tx, r.Name, r))
		}
		return err
	})
}
