package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/store"
)

// LoadOptions change what a load does.
type LoadOptions struct {
	// Quiet leaves out the progress of layers.
	Quiet bool
	// Platform loads the images of one platform alone.
	Platform *ocispec.Platform
}

// Load reads images from an archive: a docker-archive or an OCI image layout, plain or compressed. Nothing of it is
// unpacked to a path that it names.
func (s *Service) Load(ctx context.Context, r io.Reader, opt LoadOptions, out *progress.Stream) (err error) {
	sp, err := s.readArchive(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sp.close()) }()
	found, err := sp.images(s, opt)
	if err != nil {
		return err
	}
	if len(found) == 0 && opt.Platform != nil {
		return errdefs.ErrNotFound.WithMessage(fmt.Sprintf("requested platform (%s) not found", formatPlatform(*opt.Platform)))
	}
	for _, l := range found {
		if err := s.loadOne(ctx, sp, l, opt, out); err != nil {
			return err
		}
	}
	return nil
}

// loadable is one image of an archive.
type loadable struct {
	p      *parsed
	names  []reference.NamedTagged
	files  []*spooled // Of the layers.
	parent string
}

func (s *Service) loadOne(ctx context.Context, sp *spool, l loadable, opt LoadOptions, out *progress.Stream) error {
	defer s.leases.hold(l.p.blobs()...)()
	defer s.leases.hold(l.p.config.RootFS.DiffIDs...)()
	for _, f := range l.files {
		if err := f.commit(s); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, blob := range l.p.manifest.Layers {
		want := l.p.config.RootFS.DiffIDs[i]
		hear := sink(silent{})
		if !opt.Quiet {
			hear = loading{out, short(want)}
		}
		g.Go(func() error {
			got, err := s.fly(gctx, nil, blob, hear)
			if err != nil {
				return err
			}
			if got.DiffID != want {
				return invalid("invalid diffID for layer %d: expected %q, got %q", i, want, got.DiffID)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	old, err := s.commitLoad(l)
	if err != nil {
		return err
	}
	for i, n := range l.names {
		if old[i] != "" && old[i] != l.p.id() {
			out.Text(fmt.Sprintf("The image %s already exists, renaming the old one with ID %s to empty string\n", reference.FamiliarString(n), old[i]))
		}
		out.Text("Loaded image: " + reference.FamiliarString(n) + "\n")
	}
	if len(l.names) == 0 {
		out.Text("Loaded image ID: " + l.p.id() + "\n")
	}
	return nil
}

// commitLoad records a loaded image; old are the images that had its names.
func (s *Service) commitLoad(l loadable) (old []string, err error) {
	s.gc.Lock()
	defer s.gc.Unlock()
	if err := s.putMeta(l.p); err != nil {
		return nil, err
	}
	err = s.db.Update(func(tx *store.Tx) error {
		old = nil
		if err := s.putImage(tx, l.p, l.parent); err != nil {
			return err
		}
		for _, n := range l.names {
			r, err := names.Get(tx, n.String())
			if err != nil && !errdefs.IsNotFound(err) {
				return err
			}
			old = append(old, r.Image)
			if err := names.Put(tx, n.String(), nameRecord{Image: l.p.id()}); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { s.publish(events.ActionLoad, l.p.id(), l.p.id(), l.p.config.Config.Labels) })
		return nil
	})
	return old, err
}

// putImage writes an image's record, unless it is there.
func (s *Service) putImage(tx *store.Tx, p *parsed, parent string) error {
	if _, err := images.Get(tx, p.id()); !errdefs.IsNotFound(err) {
		return err
	}
	if _, err := images.Get(tx, parent); err != nil {
		parent = ""
	}
	return images.Put(tx, p.id(), imageRecord{
		Manifest: p.desc, Config: p.manifest.Config, Layers: p.manifest.Layers,
		DiffIDs: p.config.RootFS.DiffIDs, Parent: parent, Added: time.Now().UTC(),
	})
}

// silent is a sink for quiet loads.
type silent struct{}

func (silent) Step(string, string)                   {}
func (silent) Progress(string, string, int64, int64) {}

// loading tells a layer's unpacking as Docker's load does.
type loading struct {
	out *progress.Stream
	id  string
}

func (l loading) Step(string, string) {}

func (l loading) Progress(_, _ string, current, total int64) {
	l.out.Progress(l.id, "Loading layer", current, total)
}

func decode(raw []byte, what string, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("invalid archive: %s: %w: %w", what, err, errdefs.ErrInvalidArgument)
	}
	return nil
}
