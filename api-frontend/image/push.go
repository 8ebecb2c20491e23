package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	apiregistry "github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/store"
)

// PushOptions say what is pushed.
type PushOptions struct {
	// Ref is the name, with a tag unless All is set.
	Ref reference.Named
	// All pushes every tag of the repository.
	All      bool
	Platform *ocispec.Platform
	Auth     apiregistry.AuthConfig
}

// PushResult is the machine-readable line that a push ends with.
type PushResult struct {
	Tag    string
	Digest string
	Size   int
}

// Push sends images to their registry: the blobs as they came, so that digests stay.
func (s *Service) Push(ctx context.Context, opt PushOptions, out *progress.Stream) error {
	v, err := s.view()
	if err != nil {
		return err
	}
	refs, err := v.pushed(opt)
	if err != nil {
		return err
	}
	return s.registry.Push(ctx, opt.Ref, opt.Auth, func(sess *registry.Session) error {
		out.Message("", fmt.Sprintf("The push refers to repository [%s]", opt.Ref.Name()))
		for _, ref := range refs {
			if err := s.pushOne(ctx, sess, v, ref, opt.Platform, out); err != nil {
				return err
			}
		}
		return nil
	})
}

func (v *view) pushed(opt PushOptions) ([]reference.NamedTagged, error) {
	if !opt.All {
		t, ok := reference.TagNameOnly(opt.Ref).(reference.NamedTagged)
		if !ok {
			return nil, invalid("cannot push a digest reference")
		}
		if _, ok := v.byName[t.String()]; !ok {
			return nil, errdefs.ErrNotFound.WithMessage("tag does not exist: " + reference.FamiliarString(t))
		}
		return []reference.NamedTagged{t}, nil
	}
	var refs []reference.NamedTagged
	for _, all := range v.names {
		for _, n := range all {
			if t, ok := n.(reference.NamedTagged); ok && n.Name() == opt.Ref.Name() {
				refs = append(refs, t)
			}
		}
	}
	if len(refs) == 0 {
		return nil, errdefs.ErrNotFound.WithMessage("An image does not exist locally with the tag: " + reference.FamiliarName(opt.Ref))
	}
	return refs, nil
}

func (s *Service) pushOne(ctx context.Context, sess *registry.Session, v *view, ref reference.NamedTagged, platform *ocispec.Platform, out *progress.Stream) error {
	id := v.byName[ref.String()]
	rec := v.records[id]
	img, err := s.image(v, id)
	if err != nil {
		return err
	}
	if platform != nil && !s.matcher(platform).Match(img.Platform) {
		return notFor(reference.FamiliarString(ref), *platform)
	}
	p := &parsed{desc: rec.Manifest, manifest: ocispec.Manifest{Config: rec.Config, Layers: rec.Layers}}
	defer s.leases.hold(p.blobs()...)()
	if err := s.pushLayers(ctx, sess, rec, out); err != nil {
		return err
	}
	if _, err := sess.PutBlob(ctx, rec.Config, s.opener(rec.Config), nil); err != nil {
		return err
	}
	raw, err := s.content.ReadBlob(rec.Manifest.Digest)
	if err != nil {
		return err
	}
	if err := sess.PutManifest(ctx, ref.Tag(), rec.Manifest, raw); err != nil {
		return err
	}
	out.Message("", fmt.Sprintf("%s: digest: %s size: %d", ref.Tag(), rec.Manifest.Digest, rec.Manifest.Size))
	out.Aux(PushResult{Tag: ref.Tag(), Digest: rec.Manifest.Digest.String(), Size: int(rec.Manifest.Size)})
	return s.pushDone(ref, id, rec, img)
}

func (s *Service) pushLayers(ctx context.Context, sess *registry.Session, rec imageRecord, out *progress.Stream) error {
	for _, d := range rec.DiffIDs {
		out.Step(short(d), "Preparing")
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.opt.Uploads)
	for i, l := range rec.Layers {
		id := short(rec.DiffIDs[i])
		g.Go(func() error {
			there, err := sess.PutBlob(gctx, l, s.opener(l), func(n int64) { out.Progress(id, "Pushing", n, l.Size) })
			switch {
			case err != nil:
				return err
			case there:
				out.Step(id, "Layer already exists")
			default:
				out.Step(id, "Pushed")
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *Service) opener(d ocispec.Descriptor) registry.Opener {
	return func() (registry.ReadSeekCloser, error) { return s.content.OpenBlob(d.Digest) }
}

// pushDone gives the image the digest name that it now has in the registry.
func (s *Service) pushDone(ref reference.NamedTagged, id string, rec imageRecord, img *Image) error {
	digested, err := reference.WithDigest(reference.TrimNamed(ref), rec.Manifest.Digest)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	s.gc.Lock()
	defer s.gc.Unlock()
	err = s.db.Update(func(tx *store.Tx) error {
		if _, err := images.Get(tx, id); err != nil {
			return err
		}
		return names.Put(tx, digested.String(), nameRecord{Image: id})
	})
	if err != nil && !errors.Is(err, errdefs.ErrNotFound) { // Removed meanwhile: the push is done all the same.
		return err
	}
	s.publish(events.ActionPush, reference.FamiliarString(ref), reference.FamiliarName(ref), img.Config.Labels)
	return nil
}
