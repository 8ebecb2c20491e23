package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/change"
	"github.com/arca-engine/arca/api-frontend/store"
)

// CommitOptions describe an image made of another one and a layer.
type CommitOptions struct {
	// Parent is the ID of the image below.
	Parent string
	// Ref is the new one's name; nil for none.
	Ref             reference.Named
	Author, Comment string
	// Config is the configuration, whole.
	Config change.Config
	// CreatedBy is what the history says of the layer.
	CreatedBy string
}

// emptyLayer is the digest of a tar without entries, which adds no layer.
const emptyLayer digest.Digest = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

// Commit makes an image of a parent and a layer, a plain tar.
func (s *Service) Commit(ctx context.Context, opt CommitOptions, layer io.Reader) (id string, err error) {
	v, err := s.view()
	if err != nil {
		return "", err
	}
	parent, ok := v.records[opt.Parent]
	if !ok {
		return "", noSuchImage(opt.Parent)
	}
	defer s.leases.hold(parent.DiffIDs...)()
	e, err := s.spoolFile(&bounded{r: layer, left: s.opt.Limits.Bytes}, make([]byte, 1<<20))
	if err != nil {
		return "", err
	}
	var top *ocispec.Descriptor
	var diffID digest.Digest
	if e.digest == emptyLayer {
		err = e.discard()
	} else {
		top = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: e.digest, Size: e.size}
		defer s.leases.hold(e.digest)()
		err = e.commit(s)
	}
	if err != nil {
		return "", err
	}
	if top != nil {
		l, err := s.fly(ctx, nil, *top, silent{})
		if err != nil {
			return "", err
		}
		diffID = l.DiffID
		defer s.leases.hold(diffID)()
	}
	p, err := s.committed(opt, parent, top, diffID)
	if err != nil {
		return "", err
	}
	defer s.leases.hold(p.blobs()...)()
	return p.id(), s.putCommit(opt, p)
}

// committed makes the documents of the image; top is nil where nothing was changed.
func (s *Service) committed(opt CommitOptions, parent imageRecord, top *ocispec.Descriptor, diffID digest.Digest) (*parsed, error) {
	old, err := s.config(parent.Config.Digest)
	if err != nil {
		return nil, err
	}
	cfg, now := *old, time.Now().UTC()
	cfg.Created, cfg.Author, cfg.Comment, cfg.DockerVersion, cfg.Config = &now, opt.Author, opt.Comment, "", opt.Config
	cfg.History = append(append([]ocispec.History(nil), old.History...), ocispec.History{
		Created: &now, CreatedBy: opt.CreatedBy, Author: opt.Author, Comment: opt.Comment, EmptyLayer: top == nil,
	})
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	for _, l := range parent.Layers {
		l.MediaType = openType(l.MediaType)
		m.Layers = append(m.Layers, l)
	}
	cfg.RootFS.DiffIDs = append([]digest.Digest(nil), parent.DiffIDs...)
	if top != nil {
		m.Layers, cfg.RootFS.DiffIDs = append(m.Layers, *top), append(cfg.RootFS.DiffIDs, diffID)
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encode image config: %w", err)
	}
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	p, err := compose(m)
	if err != nil {
		return nil, err
	}
	return p, p.withConfig(raw)
}

// openType is the open name of a layer's media type: a manifest does not mix the two families.
func openType(mediaType string) string {
	switch {
	case !strings.HasPrefix(mediaType, "application/vnd.docker."):
		return mediaType
	case strings.HasSuffix(mediaType, "gzip"):
		return ocispec.MediaTypeImageLayerGzip
	case strings.HasSuffix(mediaType, "zstd"):
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}

// putCommit enters an image, unless its parent was removed meanwhile.
func (s *Service) putCommit(opt CommitOptions, p *parsed) error {
	s.gc.Lock()
	defer s.gc.Unlock()
	if err := s.putMeta(p); err != nil {
		return err
	}
	err := s.db.Update(func(tx *store.Tx) error {
		if _, err := images.Get(tx, opt.Parent); err != nil {
			return noSuchImage(opt.Parent)
		}
		return s.putImage(tx, p, opt.Parent)
	})
	if err != nil || opt.Ref == nil {
		return err
	}
	if err := s.Tag(context.Background(), p.id(), opt.Ref); err != nil {
		return errors.Join(errors.New("tag the new image"), err)
	}
	return nil
}
