package image

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	apiregistry "github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/internal/failpoint"
)

// PullOptions say what is pulled.
type PullOptions struct {
	// Ref names the repository, with a tag or a digest unless All is set.
	Ref reference.Named
	// All pulls every tag.
	All bool
	// Platform chooses out of an index; nil is the instance's own.
	Platform *ocispec.Platform
	// Auth are the credentials for the repository's registry.
	Auth apiregistry.AuthConfig
}

// Pull brings images from a registry. It ends early when ctx does; layers that others wait for go on.
func (s *Service) Pull(ctx context.Context, opt PullOptions, out *progress.Stream) error {
	return s.registry.Each(ctx, opt.Ref, opt.Auth, registry.ScopePull, func(sess *registry.Session) error {
		if !opt.All {
			return s.pullOne(ctx, sess, opt, reference.TagNameOnly(opt.Ref), out)
		}
		tags, err := sess.Tags(ctx)
		if err != nil {
			return err
		}
		for _, t := range tags {
			ref, err := reference.WithTag(reference.TrimNamed(opt.Ref), t)
			if err != nil {
				return fmt.Errorf("tag %q: %w: %w", t, err, errdefs.ErrInvalidArgument)
			}
			if err := s.pullOne(ctx, sess, opt, ref, out); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) pullOne(ctx context.Context, sess *registry.Session, opt PullOptions, ref reference.Named, out *progress.Stream) error {
	tag := tagOf(ref)
	top, err := sess.Manifest(ctx, tag)
	if err != nil {
		return err
	}
	out.Message(tag, "Pulling from "+reference.Path(ref))
	m, err := s.pick(ctx, sess, top, opt.Platform)
	if err != nil {
		return err
	}
	p, err := parseManifest(m)
	if err != nil {
		return err
	}
	defer s.leases.hold(p.blobs()...)()
	if err := s.fetchConfig(ctx, sess, p); err != nil {
		return err
	}
	defer s.leases.hold(p.config.RootFS.DiffIDs...)()
	if err := s.fits(ref, p, opt.Platform); err != nil {
		return err
	}
	if here, err := s.complete(p.id()); err != nil {
		return err
	} else if !here {
		if err := s.pullLayers(ctx, sess, p, out); err != nil {
			return err
		}
	}
	newer, err := s.commitPull(ref, p, top)
	if err != nil {
		return err
	}
	out.Message("", "Digest: "+top.Descriptor.Digest.String())
	status := "Image is up to date for "
	if newer {
		status = "Downloaded newer image for "
	}
	out.Message("", "Status: "+status+reference.FamiliarString(ref))
	return nil
}

func (s *Service) pullLayers(ctx context.Context, sess *registry.Session, p *parsed, out *progress.Stream) error {
	g, gctx := errgroup.WithContext(ctx)
	var later []func() error
	for i, blob := range p.manifest.Layers {
		want := p.config.RootFS.DiffIDs[i]
		// Known and new layers are told in the manifest's order, before any of them moves.
		if l, ok, err := s.known(blob.Digest); err != nil {
			return err
		} else if ok && l.DiffID == want {
			out.Step(short(blob.Digest), "Already exists")
			continue
		}
		out.Step(short(blob.Digest), "Pulling fs layer")
		later = append(later, func() error {
			l, err := s.fly(gctx, sess, blob, out)
			if err != nil {
				return err
			}
			if l.DiffID != want {
				return errdefs.ErrDataLoss.WithMessage(fmt.Sprintf("layer %s has diffID %s, the image config says %s", blob.Digest, l.DiffID, want))
			}
			return nil
		})
	}
	for _, f := range later {
		g.Go(f)
	}
	return g.Wait()
}

// complete says whether an image is here with all its disks.
func (s *Service) complete(id string) (bool, error) {
	var r imageRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		r, err = images.Get(tx, id)
		return err
	})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	for _, d := range r.DiffIDs {
		if !s.content.HasDisk(d) {
			return false, err
		}
	}
	return err == nil, err
}

// fits refuses a lone manifest of another platform than the one asked for.
func (s *Service) fits(ref reference.Named, p *parsed, want *ocispec.Platform) error {
	if want == nil || s.matcher(want).Match(p.config.Platform) {
		return nil
	}
	return notFor(reference.FamiliarString(ref), *want)
}

// commitPull records the image and its names; newer says whether the name means something else than before.
func (s *Service) commitPull(ref reference.Named, p *parsed, top registry.Manifest) (newer bool, err error) {
	digested, err := reference.WithDigest(reference.TrimNamed(ref), top.Descriptor.Digest)
	if err != nil {
		return false, fmt.Errorf("name image: %w", err)
	}
	add := []reference.Named{digested}
	if _, ok := ref.(reference.Digested); !ok {
		add = append(add, ref)
	}
	s.gc.Lock()
	defer s.gc.Unlock()
	if err := s.putMeta(p); err != nil {
		return false, err
	}
	if err := failpoint.Hit("image/commit"); err != nil {
		return false, err
	}
	err = s.db.Update(func(tx *store.Tx) error {
		newer = false
		if err := s.putImage(tx, p, ""); err != nil {
			return err
		}
		for _, n := range add {
			old, err := names.Get(tx, n.String())
			if err != nil && !errdefs.IsNotFound(err) {
				return err
			}
			if old.Image == p.id() {
				continue
			}
			newer = true
			if err := names.Put(tx, n.String(), nameRecord{Image: p.id()}); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { s.publishPull(ref, p) })
		return nil
	})
	return newer, err
}

// putMeta stores the small blobs that the record will name.
func (s *Service) putMeta(p *parsed) error {
	for _, b := range [][]byte{p.configRaw, p.raw} {
		if _, err := s.content.PutBlob(b); err != nil {
			return err
		}
	}
	return nil
}

func tagOf(ref reference.Named) string {
	if d, ok := ref.(reference.Digested); ok {
		return d.Digest().String()
	}
	if t, ok := ref.(reference.Tagged); ok {
		return t.Tag()
	}
	return "latest"
}
