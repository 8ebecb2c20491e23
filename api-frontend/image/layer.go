package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
	"github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/internal/failpoint"
)

// known returns the finished layer of a blob, if blob and disk are both there.
func (s *Service) known(blob digest.Digest) (layer, bool, error) {
	var l layer
	err := s.db.View(func(tx *store.Tx) error {
		b, err := blobs.Get(tx, blob.String())
		if err != nil {
			return err
		}
		r, err := layers.Get(tx, b.DiffID.String())
		if err != nil {
			return err
		}
		l = layer{DiffID: b.DiffID, Size: r.Size}
		return nil
	})
	if errdefs.IsNotFound(err) {
		return layer{}, false, nil
	}
	if err != nil {
		return layer{}, false, err
	}
	if _, err := s.content.Stat(blob); err != nil || !s.content.HasDisk(l.DiffID) {
		return layer{}, false, nil
	}
	return l, true, nil
}

// makeLayer downloads a blob and makes its disk from the bytes while they come.
func (s *Service) makeLayer(ctx context.Context, sess *registry.Session, f *flight) (layer, error) {
	if l, ok, err := s.known(f.blob.Digest); err != nil || ok {
		if ok {
			f.step("Already exists")
		}
		return l, err
	}
	if _, err := s.content.Stat(f.blob.Digest); err == nil {
		return s.unpackBlob(ctx, f)
	}
	if sess == nil {
		return layer{}, fmt.Errorf("blob %s: %w", f.blob.Digest, errdefs.ErrNotFound)
	}
	if err := s.place(ctx, f); err != nil {
		return layer{}, err
	}
	part, err := s.content.Partial(f.blob.Digest, f.blob.Size)
	if err != nil {
		<-s.places
		return layer{}, err
	}
	l, err := s.stream(ctx, sess, f, part)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			err = context.Cause(ctx)
		}
		return layer{}, errors.Join(err, part.Close())
	}
	f.step("Pull complete")
	return l, nil
}

// place waits for one of the download places.
func (s *Service) place(ctx context.Context, f *flight) error {
	select {
	case s.places <- struct{}{}:
		return nil
	default:
	}
	f.step("Waiting")
	select {
	case s.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stream runs download and unpacking side by side, then makes both durable and records them.
func (s *Service) stream(ctx context.Context, sess *registry.Session, f *flight, part *content.Partial) (layer, error) {
	disk, err := s.content.Temp()
	if err != nil {
		<-s.places
		return layer{}, err
	}
	u := &unpacking{s: s, f: f, part: part, disk: disk, doubtful: part.Len() > 0}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer func() { <-s.places }()
		if err := s.download(gctx, sess, f, part); err != nil {
			part.Fail(err)
			return err
		}
		u.whole.Store(true)
		f.step("Download complete")
		f.step("Extracting")
		return nil
	})
	g.Go(func() error { return u.run(gctx) })
	err = g.Wait()
	if err == nil {
		err = u.again(ctx)
	}
	if err != nil {
		return layer{}, errors.Join(err, content.Discard(disk))
	}
	f.progress("Extracting", f.blob.Size)
	g.Go(part.Commit)
	g.Go(func() error { return s.content.CommitDisk(disk, u.res.DiffID) })
	if err := g.Wait(); err != nil {
		return layer{}, err
	}
	return s.recordLayer(f.blob.Digest, u.res)
}

// unpackBlob makes the disk of a blob that is already here.
func (s *Service) unpackBlob(ctx context.Context, f *flight) (layer, error) {
	f.step("Download complete")
	f.step("Extracting")
	open := func() (io.ReadCloser, error) {
		r, err := s.content.OpenBlob(f.blob.Digest)
		if err != nil {
			return nil, err
		}
		return &counted{ReadCloser: r, moved: func(n int64) { f.progress("Extracting", n) }}, nil
	}
	l, err := s.unpack(ctx, f.blob.Digest, open)
	if err == nil {
		f.step("Pull complete")
	}
	return l, err
}

func (s *Service) unpack(ctx context.Context, blob digest.Digest, open layerdisk.Source) (layer, error) {
	disk, err := s.content.Temp()
	if err != nil {
		return layer{}, err
	}
	res, err := layerdisk.Convert(ctx, open, disk, s.opt.Limits)
	if err != nil {
		return layer{}, errors.Join(err, content.Discard(disk))
	}
	if err := s.content.CommitDisk(disk, res.DiffID); err != nil {
		return layer{}, err
	}
	return s.recordLayer(blob, res)
}

func (s *Service) recordLayer(blob digest.Digest, res layerdisk.Result) (layer, error) {
	if err := failpoint.Hit("image/layer"); err != nil {
		return layer{}, err
	}
	now := time.Now().UTC()
	err := s.db.Update(func(tx *store.Tx) error {
		if err := layers.Put(tx, res.DiffID.String(), layerRecord{Size: res.Size, Added: now}); err != nil {
			return err
		}
		return blobs.Put(tx, blob.String(), blobRecord{DiffID: res.DiffID, Added: now})
	})
	if err != nil {
		return layer{}, fmt.Errorf("record layer: %w", err)
	}
	return layer{DiffID: res.DiffID, Size: res.Size}, nil
}

// counted tells how many bytes were read.
type counted struct {
	io.ReadCloser
	n     int64
	moved func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.n += int64(n)
		c.moved(c.n)
	}
	return n, err
}
