package image

import (
	"context"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/store"
)

// Tag gives an image one more name. A name that another image had moves.
func (s *Service) Tag(_ context.Context, source string, target reference.Named) error {
	if _, ok := target.(reference.Digested); ok {
		return invalid("refusing to create a tag with a digest reference")
	}
	target = reference.TagNameOnly(target)
	if reference.FamiliarName(target) == "sha256" {
		return invalid("refusing to create an ambiguous tag using digest algorithm as name")
	}
	v, err := s.view()
	if err != nil {
		return err
	}
	id, err := v.find(source)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *store.Tx) error {
		r, err := images.Get(tx, id)
		if err != nil {
			return noSuchImage(source) // It was removed meanwhile.
		}
		r.LastTagged = time.Now().UTC()
		if err := images.Put(tx, id, r); err != nil {
			return err
		}
		if err := names.Put(tx, target.String(), nameRecord{Image: id}); err != nil {
			return err
		}
		tx.OnCommit(func() { s.publishID(events.ActionTag, id, r, reference.FamiliarString(target)) })
		return nil
	})
}
