package volume

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/internal/failpoint"
)

// Remove removes a volume that nobody uses. With force, a missing volume is no error and a store that cannot be removed
// now is removed later.
func (s *Service) Remove(ctx context.Context, name string, force bool) error {
	r, err := s.bury(name, func(Record) bool { return true })
	if err != nil {
		if force && errors.Is(err, errNoSuchVolume) {
			return nil
		}
		return err
	}
	if err := s.unmake(ctx, r); err != nil && !force {
		return opError("remove", name, errors.Join(err, s.exhume(r)))
	}
	s.tell(name, events.ActionDestroy, map[string]string{"driver": Driver})
	return nil
}

// RemoveUnused removes volumes as `docker rm -v` does: those that are still in use, or gone, are left alone.
func (s *Service) RemoveUnused(ctx context.Context, names ...string) error {
	var errs []error
	for _, name := range names {
		err := s.Remove(ctx, name, false)
		if err != nil && !errors.Is(err, errInUse) && !errors.Is(err, errNoSuchVolume) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// bury takes the record of an unused volume away and notes that its store has to go, in one transaction. The name is
// free from then on.
func (s *Service) bury(name string, still func(Record) bool) (r Record, err error) {
	err = s.db.Update(func(tx *store.Tx) error {
		if r, err = get(tx, name); err != nil {
			return err
		}
		if len(r.Users) > 0 {
			return &OpError{Op: "remove", Name: name, Err: errInUse, Refs: r.Users}
		}
		if !still(r) {
			return &OpError{Op: "remove", Name: name, Err: errInUse}
		}
		if err := records.Delete(tx, name); err != nil {
			return err
		}
		return removing.Put(tx, r.ID, r)
	})
	return r, err
}

// unmake removes the store of a buried volume and forgets the volume. It may be repeated.
func (s *Service) unmake(ctx context.Context, r Record) error {
	if err := failpoint.Hit("volume/unmake"); err != nil {
		return err
	}
	if bind, err := parseOptions(r.Options); err == nil && bind == nil {
		if err := s.stores.RemoveVolume(ctx, r.ID); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove the volume's store: %w", err)
		}
	}
	s.made.Delete(r.ID)
	return s.db.Update(func(tx *store.Tx) error { return removing.Delete(tx, r.ID) })
}

// exhume gives a buried volume its name back, unless the name has been taken since: then the store goes later.
func (s *Service) exhume(r Record) error {
	return s.db.Update(func(tx *store.Tx) error {
		if _, err := removing.Get(tx, r.ID); errdefs.IsNotFound(err) {
			return nil // Its store is gone for good.
		}
		if _, err := records.Get(tx, r.Name); !errdefs.IsNotFound(err) {
			return err
		}
		if err := removing.Delete(tx, r.ID); err != nil {
			return err
		}
		return records.Put(tx, r.Name, r)
	})
}
