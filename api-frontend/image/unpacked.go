package image

import (
	"context"
	"errors"
	"io"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
	"github.com/arca-engine/arca/api-frontend/store"
)

// Unpacked is an image of which the engine has the disks alone.
type Unpacked struct {
	Layers []string // IDs of the disks, base layer first.
	Config dockerspec.DockerOCIImageConfig
}

// Unpack makes the layer disks of the first image of an archive without making it an image of the engine: no list shows
// it, no prune takes it. The disks stay until release, and after it as long as a user names them.
func (s *Service) Unpack(ctx context.Context, r io.Reader) (img *Unpacked, release func(), err error) {
	sp, err := s.readArchive(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, sp.close()) }()
	found, err := sp.images(s, LoadOptions{Quiet: true})
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		return nil, nil, invalid("invalid archive: there is no image in it")
	}
	l := found[0]
	img = &Unpacked{Config: l.p.config.Config}
	release = s.leases.hold(l.p.config.RootFS.DiffIDs...)
	defer func() {
		if err != nil {
			release()
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	for i, want := range l.p.config.RootFS.DiffIDs {
		img.Layers = append(img.Layers, want.Encoded())
		if !s.content.HasDisk(want) {
			g.Go(func() error { return s.unpackSpooled(gctx, l.files[i], want) })
		}
	}
	return img, release, g.Wait()
}

// unpackSpooled makes the disk of a layer that is a file of an archive, and of nothing else.
func (s *Service) unpackSpooled(ctx context.Context, e *spooled, want digest.Digest) error {
	if e.f == nil {
		return invalid("invalid archive: a layer stands in it twice")
	}
	disk, err := s.content.Temp()
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(e.f, 0, e.size)), nil }
	res, err := layerdisk.Convert(ctx, open, disk, s.opt.Limits)
	if err == nil && res.DiffID != want {
		err = invalid("invalid diffID: expected %q, got %q", want, res.DiffID)
	}
	if err != nil {
		return errors.Join(err, content.Discard(disk))
	}
	if err := s.content.CommitDisk(disk, res.DiffID); err != nil {
		return err
	}
	return s.db.Update(func(tx *store.Tx) error {
		return layers.Put(tx, want.String(), layerRecord{Size: res.Size, Added: time.Now().UTC()})
	})
}

// HasDisks tells whether all of these disks (by ID) are there.
func (s *Service) HasDisks(ids ...string) bool {
	for _, id := range ids {
		if !s.content.HasDisk(digest.NewDigestFromEncoded(digest.SHA256, id)) {
			return false
		}
	}
	return true
}
