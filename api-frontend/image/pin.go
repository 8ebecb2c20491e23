package image

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/store"
)

// detachLimit bounds the wait for vmhelper to let go of a disk. One that it keeps holds its space until vmhelper ends.
const detachLimit = 2 * time.Second

// pinnedDisks are the disks under containers: those stay when their image goes.
func pinnedDisks(users []User) map[string]bool {
	pinned := map[string]bool{}
	for _, u := range users {
		for _, d := range u.Disks {
			pinned[d] = true
		}
	}
	return pinned
}

// Hold keeps the disks of an image from being removed until release: while a container is made from it.
// It tells whether all of them are there.
func (s *Service) Hold(img *Image) (release func(), ok bool) {
	ds := make([]digest.Digest, len(img.Layers))
	for i, l := range img.Layers {
		ds[i] = l.DiffID
	}
	release = s.leases.hold(ds...)
	for _, d := range ds {
		if !s.content.HasDisk(d) {
			release()
			return nil, false
		}
	}
	return release, true
}

// Collect removes those of the disks (by ID) that no image and no container has: a container that was the last user of
// a removed image is gone.
func (s *Service) Collect(diskIDs []string) error {
	s.gc.Lock()
	defer s.gc.Unlock()
	pinned := pinnedDisks(s.users())
	var drop []digest.Digest
	err := s.db.Update(func(tx *store.Tx) error {
		drop = nil
		named := map[digest.Digest]struct{}{}
		if err := images.Each(tx, func(_ string, r imageRecord) error {
			for _, d := range r.DiffIDs {
				named[d] = struct{}{}
			}
			return nil
		}); err != nil {
			return err
		}
		if err := blobs.Each(tx, func(_ string, r blobRecord) error {
			named[r.DiffID] = struct{}{}
			return nil
		}); err != nil {
			return err
		}
		for _, id := range diskIDs {
			d := digest.NewDigestFromEncoded(digest.SHA256, id)
			if _, ok := named[d]; ok || pinned[id] || s.leases.held(d) {
				continue
			}
			drop = append(drop, d)
			if err := layers.Delete(tx, d.String()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.dropDisks(drop)
}

// dropDisks deletes the files of disks that no record names.
func (s *Service) dropDisks(ds []digest.Digest) error {
	var errs []error
	for _, d := range ds {
		if s.opt.Detach != nil {
			ctx, cancel := context.WithTimeout(s.root, detachLimit)
			if err := s.opt.Detach(ctx, d.Encoded()); err != nil {
				s.log.Warn("vmhelper keeps a disk that is deleted", "disk", d.Encoded(), "error", err)
			}
			cancel()
		}
		errs = append(errs, s.leases.unless(d, s.content.RemoveDisk))
	}
	return errors.Join(errs...)
}
