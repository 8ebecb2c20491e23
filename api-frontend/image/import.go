package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/change"
	"github.com/arca-engine/arca/api-frontend/store"
)

// ImportOptions describe an image made of one archive of a file system.
type ImportOptions struct {
	// Ref is its name; nil for none.
	Ref      reference.Named
	Platform *ocispec.Platform
	Message  string
	// Changes are Dockerfile instructions.
	Changes []string
}

// Import makes an image of a tar stream, plain or compressed.
func (s *Service) Import(ctx context.Context, opt ImportOptions, r io.Reader) (id string, err error) {
	var cfg change.Config
	if err := change.Apply(&cfg, opt.Changes); err != nil {
		return "", err
	}
	e, err := s.spoolFile(&bounded{r: r, left: s.opt.Limits.Bytes}, make([]byte, 1<<20))
	if err != nil {
		return "", err
	}
	head, err := e.head(nil)
	if err != nil {
		return "", errors.Join(err, e.discard())
	}
	blob := ocispec.Descriptor{MediaType: layerType(head), Digest: e.digest, Size: e.size}
	defer s.leases.hold(blob.Digest)()
	if err := e.commit(s); err != nil {
		return "", err
	}
	l, err := s.fly(ctx, nil, blob, silent{})
	if err != nil {
		return "", err
	}
	defer s.leases.hold(l.DiffID)()
	p, err := s.describe(opt, cfg, blob, l.DiffID)
	if err != nil {
		return "", err
	}
	defer s.leases.hold(p.blobs()...)()
	return p.id(), s.commitImport(opt.Ref, p)
}

func (s *Service) describe(opt ImportOptions, changed change.Config, blob ocispec.Descriptor, diffID digest.Digest) (*parsed, error) {
	now := time.Now().UTC()
	var cfg config
	cfg.Created, cfg.Platform, cfg.Comment = &now, s.wanted(opt.Platform), opt.Message
	cfg.Config = changed
	cfg.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
	cfg.History = []ocispec.History{{Created: &now, Comment: opt.Message}}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode image config: %w", err)
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{blob}}
	m.SchemaVersion = 2
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	p, err := compose(m)
	if err != nil {
		return nil, err
	}
	return p, p.withConfig(raw)
}

func (s *Service) commitImport(ref reference.Named, p *parsed) error {
	s.gc.Lock()
	defer s.gc.Unlock()
	if err := s.putMeta(p); err != nil {
		return err
	}
	return s.db.Update(func(tx *store.Tx) error {
		if err := s.putImage(tx, p, ""); err != nil {
			return err
		}
		name := p.id()
		if ref != nil {
			name = reference.FamiliarString(ref)
			if err := names.Put(tx, ref.String(), nameRecord{Image: p.id()}); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { s.publish(events.ActionImport, p.id(), name, p.config.Config.Labels) })
		return nil
	})
}
