package image

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/store"
)

// keepUnnamed is how long layers and partial blobs of an interrupted pull wait to be continued.
const keepUnnamed = 24 * time.Hour

// sweep removes layers that no image has and that are older than before, then files that no record names. The caller
// holds gc exclusively, or is alone.
func (s *Service) sweep(before time.Time) error {
	keepBlobs, keepDisks := map[digest.Digest]struct{}{}, map[digest.Digest]struct{}{}
	for id := range pinnedDisks(s.users()) {
		keepDisks[digest.NewDigestFromEncoded(digest.SHA256, id)] = struct{}{}
	}
	err := s.db.Update(func(tx *store.Tx) error {
		return s.mark(tx, before, keepBlobs, keepDisks)
	})
	if err != nil {
		return err
	}
	all, err := s.content.Blobs()
	if err != nil {
		return err
	}
	for _, d := range all {
		if _, keep := keepBlobs[d]; !keep {
			if err := s.leases.unless(d, s.content.RemoveBlob); err != nil {
				return err
			}
		}
	}
	disks, err := s.content.Disks()
	if err != nil {
		return err
	}
	for _, d := range disks {
		if _, keep := keepDisks[d]; !keep {
			if err := s.leases.unless(d, s.content.RemoveDisk); err != nil {
				return err
			}
		}
	}
	return s.content.SweepPartials(before)
}

// mark collects what records name, and drops the records of layers that nothing names any more.
func (s *Service) mark(tx *store.Tx, before time.Time, keepBlobs, keepDisks map[digest.Digest]struct{}) error {
	err := images.Each(tx, func(id string, r imageRecord) error {
		keepBlobs[r.Config.Digest] = struct{}{}
		if r.Manifest.Digest != "" {
			keepBlobs[r.Manifest.Digest] = struct{}{}
		}
		for _, l := range r.Layers {
			keepBlobs[l.Digest] = struct{}{}
		}
		for _, d := range r.DiffIDs {
			keepDisks[d] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var dead []string
	err = blobs.Each(tx, func(key string, r blobRecord) error {
		d := digest.Digest(key)
		if _, ok := keepBlobs[d]; !ok && r.Added.Before(before) {
			dead = append(dead, key)
			return nil
		}
		keepBlobs[d] = struct{}{}
		keepDisks[r.DiffID] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range dead {
		if err := blobs.Delete(tx, key); err != nil {
			return err
		}
	}
	dead = nil
	err = layers.Each(tx, func(key string, _ layerRecord) error {
		if _, ok := keepDisks[digest.Digest(key)]; !ok {
			dead = append(dead, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range dead {
		if err := layers.Delete(tx, key); err != nil {
			return err
		}
	}
	return nil
}
