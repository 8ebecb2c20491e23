package image

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/store"
)

// RemoveOptions change what a removal does.
type RemoveOptions struct {
	Force bool
	// KeepParents leaves the images that the removed one was built on.
	KeepParents bool
}

// Remove removes a name, and the image with its last name; or an image by its ID. Rules and sentences are Docker's.
func (s *Service) Remove(_ context.Context, ref string, opt RemoveOptions) ([]image.DeleteResponse, error) {
	rows, _, err := s.removeCounted(ref, opt)
	return rows, err
}

// removeCounted is Remove that also tells how many bytes of layers went.
func (s *Service) removeCounted(ref string, opt RemoveOptions) (rows []image.DeleteResponse, freed int64, err error) {
	s.gc.Lock()
	defer s.gc.Unlock()
	r := &removal{s: s, opt: opt, users: s.users()}
	err = s.db.Update(func(tx *store.Tx) error {
		r.reset(tx)
		if err := r.v.load(tx); err != nil {
			return err
		}
		if err := r.run(ref); err != nil {
			return err
		}
		tx.OnCommit(func() {
			for _, f := range r.events {
				f()
			}
		})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return r.rows, r.freed, s.dropFiles(r)
}

// removal is one Remove under way, in one transaction.
type removal struct {
	s     *Service
	opt   RemoveOptions
	users []User

	tx     *store.Tx
	v      *view
	rows   []image.DeleteResponse
	events []func()
	blobs  []digest.Digest // Of removed images: candidates for removal.
	disks  []digest.Digest
	freed  int64
}

func (r *removal) reset(tx *store.Tx) {
	r.tx, r.v, r.rows, r.events, r.blobs, r.disks, r.freed = tx, newView(), nil, nil, nil, nil, 0
}

func (r *removal) run(ref string) error {
	id, err := r.v.find(ref)
	if err != nil {
		return err
	}
	if isIDPrefix(id, ref) {
		return r.byID(id)
	}
	return r.byName(id, ref)
}

func (r *removal) byName(id, ref string) error {
	if !r.opt.Force && single(r.v.names[id]) {
		if c := r.user(id, false, true); c != nil {
			return refUsed(ref, c.ID, id)
		}
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return invalid("invalid reference format")
	}
	named = reference.TagNameOnly(named)
	if d, ok := named.(reference.Canonical); ok {
		if named, err = reference.WithDigest(reference.TrimNamed(named), d.Digest()); err != nil {
			return invalid("invalid reference format")
		}
	}
	if err := r.untag(id, named); err != nil {
		return err
	}
	if _, ok := named.(reference.Digested); !ok {
		if err := r.untagDigests(id, named.Name()); err != nil {
			return err
		}
	}
	if len(r.v.names[id]) > 0 {
		return nil
	}
	return r.image(id, r.opt.Force, !r.opt.KeepParents, true)
}

// untagDigests removes the digest names of a repository that has no tag of this image any more.
func (r *removal) untagDigests(id, repository string) error {
	all := slices.Clone(r.v.names[id])
	for _, n := range all {
		if _, ok := n.(reference.Digested); !ok && n.Name() == repository {
			return nil
		}
	}
	for _, n := range all {
		if n.Name() == repository {
			if err := r.untagQuiet(id, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *removal) byID(id string) error {
	if single(r.v.names[id]) {
		mask := conflictHard
		if !r.opt.Force {
			mask |= conflictStopped
		}
		if err := r.conflict(id, mask); err != nil {
			return err
		}
		if err := r.untagAll(id); err != nil {
			return err
		}
	}
	return r.image(id, r.opt.Force, !r.opt.KeepParents, false)
}

// image removes an image's record with its remaining names. A quiet removal leaves an image that is in the way of
// nothing but itself.
func (r *removal) image(id string, force, parents, quiet bool) error {
	mask := conflictHard
	if !force {
		mask |= conflictNamed | conflictStopped
	}
	if err := r.conflict(id, mask); err != nil {
		dangling := len(r.v.names[id]) == 0 && r.v.children()[id] == 0
		if quiet && (!dangling || err.Used) {
			return nil
		}
		return err
	}
	if err := r.untagAll(id); err != nil {
		return err
	}
	rec := r.v.records[id]
	if err := images.Delete(r.tx, id); err != nil {
		return err
	}
	delete(r.v.records, id)
	r.events = append(r.events, func() { r.s.publishID(events.ActionDelete, id, rec, id) })
	r.rows = append(r.rows, image.DeleteResponse{Deleted: id})
	if err := r.layers(rec); err != nil {
		return err
	}
	if !parents || rec.Parent == "" {
		return nil
	}
	if _, ok := r.v.records[rec.Parent]; !ok {
		return nil
	}
	return r.image(rec.Parent, false, true, true)
}

func (r *removal) untagAll(id string) error {
	for _, n := range slices.Clone(r.v.names[id]) {
		if err := r.untag(id, n); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) untag(id string, n reference.Named) error {
	rec := r.v.records[id]
	r.events = append(r.events, func() { r.s.publishID(events.ActionUnTag, id, rec, id) })
	return r.untagQuiet(id, n)
}

func (r *removal) untagQuiet(id string, n reference.Named) error {
	if err := names.Delete(r.tx, n.String()); err != nil {
		return err
	}
	r.v.names[id] = slices.DeleteFunc(r.v.names[id], func(o reference.Named) bool { return o.String() == n.String() })
	r.rows = append(r.rows, image.DeleteResponse{Untagged: reference.FamiliarString(n)})
	return nil
}

const (
	conflictChild = 1 << iota
	conflictRunning
	conflictNamed
	conflictStopped
	conflictHard = conflictChild | conflictRunning
)

// conflict returns the first reason not to remove an image.
func (r *removal) conflict(id string, mask int) *ConflictError {
	if mask&conflictChild != 0 && r.v.children()[id] > 0 {
		return &ConflictError{Hard: true, ID: id, Message: "image has dependent child images"}
	}
	if c := r.user(id, true, false); mask&conflictRunning != 0 && c != nil {
		return &ConflictError{Hard: true, Used: true, ID: id, Message: "image is being used by running container " + truncate(c.ID)}
	}
	if mask&conflictNamed != 0 && len(r.v.names[id]) > 0 {
		return &ConflictError{ID: id, Message: "image is referenced in multiple repositories"}
	}
	if c := r.user(id, false, false); mask&conflictStopped != 0 && c != nil {
		return &ConflictError{Used: true, ID: id, Message: "image is being used by stopped container " + truncate(c.ID)}
	}
	return nil
}

// user finds a container that uses the image.
func (r *removal) user(id string, running, any bool) *User {
	for i, u := range r.users {
		if u.ImageID == id && (any || u.Running == running) {
			return &r.users[i]
		}
	}
	return nil
}

// single says whether all names are of one repository, with one tag at most.
func single(refs []reference.Named) bool {
	if len(refs) <= 1 {
		return len(refs) == 1
	}
	var one reference.Named
	digested := map[string]struct{}{}
	for _, n := range refs {
		if _, ok := n.(reference.Digested); ok {
			digested[n.Name()] = struct{}{}
		} else if one == nil {
			one = n
		} else {
			return false
		}
	}
	if one == nil {
		one = refs[0]
	}
	_, ok := digested[one.Name()]
	return len(digested) == 1 && ok
}

func isIDPrefix(id, ref string) bool {
	return strings.HasPrefix(id, ref) || strings.HasPrefix(id[strings.IndexByte(id, ':')+1:], ref)
}

// dropFiles removes the files that the transaction left without a record.
func (s *Service) dropFiles(r *removal) error {
	var errs []error
	for _, d := range r.blobs {
		s.configs.Delete(d)
		errs = append(errs, s.leases.unless(d, s.content.RemoveBlob))
	}
	errs = append(errs, s.dropDisks(r.disks))
	return errors.Join(errs...)
}
