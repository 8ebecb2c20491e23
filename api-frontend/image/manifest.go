package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/registry"
)

const (
	maxConfig = 8 << 20
	// maxLayers bounds what a manifest may list; Docker's own limit of layers is 127.
	maxLayers = 1000
)

// pick fetches the manifest that suits the platform out of an index; another manifest is its own answer.
func (s *Service) pick(ctx context.Context, sess *registry.Session, m registry.Manifest, want *ocispec.Platform) (registry.Manifest, error) {
	for depth := 0; m.IsIndex(); depth++ {
		if depth == 3 {
			return registry.Manifest{}, errdefs.ErrInvalidArgument.WithMessage("index is nested too deeply")
		}
		var index ocispec.Index
		if err := json.Unmarshal(m.Raw, &index); err != nil {
			return registry.Manifest{}, fmt.Errorf("decode index: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		d, ok := s.choose(index.Manifests, want)
		if !ok {
			return registry.Manifest{}, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("no matching manifest for %s in the manifest list entries", platforms.Format(s.wanted(want))))
		}
		if err := content.Check(d.Digest); err != nil {
			return registry.Manifest{}, err
		}
		var err error
		if m, err = sess.Manifest(ctx, d.Digest.String()); err != nil {
			return registry.Manifest{}, err
		}
	}
	return m, nil
}

// choose finds the best entry for a platform; entries without one suit any.
func (s *Service) choose(all []ocispec.Descriptor, want *ocispec.Platform) (ocispec.Descriptor, bool) {
	match := s.matcher(want)
	best := -1
	for i, d := range all {
		if d.Platform != nil && (d.Platform.OS == "unknown" || !match.Match(*d.Platform)) {
			continue
		}
		if best < 0 || (d.Platform != nil && all[best].Platform != nil && match.Less(*d.Platform, *all[best].Platform)) {
			best = i
		}
	}
	if best < 0 {
		return ocispec.Descriptor{}, false
	}
	return all[best], true
}

func (s *Service) wanted(want *ocispec.Platform) ocispec.Platform {
	p := s.platform
	if want != nil {
		p = *want
	}
	return platforms.Normalize(p)
}

func (s *Service) matcher(want *ocispec.Platform) platforms.MatchComparer {
	if want != nil {
		return platforms.OnlyStrict(*want)
	}
	return platforms.Only(s.platform)
}

// parsed is a manifest and its configuration, checked against each other.
type parsed struct {
	desc      ocispec.Descriptor
	raw       []byte
	manifest  ocispec.Manifest
	configRaw []byte
	config    dockerspec.DockerOCIImage
}

// id is the image's ID.
func (p *parsed) id() string { return p.manifest.Config.Digest.String() }

func parseManifest(m registry.Manifest) (*parsed, error) {
	p := &parsed{desc: m.Descriptor, raw: m.Raw}
	if err := json.Unmarshal(m.Raw, &p.manifest); err != nil {
		return nil, fmt.Errorf("decode manifest: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if err := checkConfigType(p.manifest.Config.MediaType); err != nil {
		return nil, err
	}
	if err := checkDescriptor(p.manifest.Config, maxConfig); err != nil {
		return nil, err
	}
	if len(p.manifest.Layers) > maxLayers {
		return nil, errdefs.ErrInvalidArgument.WithMessage("manifest lists too many layers")
	}
	for _, l := range p.manifest.Layers {
		if err := checkLayerType(l.MediaType); err != nil {
			return nil, err
		}
		if err := checkDescriptor(l, 1<<50); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func checkDescriptor(d ocispec.Descriptor, limit int64) error {
	if err := content.Check(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 || d.Size > limit {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("blob %s: size %d is out of range", d.Digest, d.Size))
	}
	return nil
}

// withConfig checks the configuration against the manifest.
func (p *parsed) withConfig(raw []byte) error {
	if digest.FromBytes(raw) != p.manifest.Config.Digest {
		return errdefs.ErrDataLoss.WithMessage("image config verification failed for digest " + p.manifest.Config.Digest.String())
	}
	if err := json.Unmarshal(raw, &p.config); err != nil {
		return fmt.Errorf("decode image config: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if len(p.config.RootFS.DiffIDs) != len(p.manifest.Layers) {
		return errdefs.ErrInvalidArgument.WithMessage("number of layers and number of diffIDs in the image config differ")
	}
	for _, d := range p.config.RootFS.DiffIDs {
		if err := content.Check(d); err != nil {
			return err
		}
	}
	if os := p.config.OS; os != "" && os != "linux" {
		return errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("operating system %q is not supported on this platform", os))
	}
	p.configRaw = raw
	return nil
}

func (s *Service) fetchConfig(ctx context.Context, sess *registry.Session, p *parsed) error {
	raw, err := s.content.ReadBlob(p.manifest.Config.Digest)
	if err != nil {
		body, _, err := sess.Blob(ctx, p.manifest.Config, 0)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }() // Read only: nothing to lose.
		if raw, err = io.ReadAll(io.LimitReader(body, p.manifest.Config.Size+1)); err != nil {
			return fmt.Errorf("download image config: %w", err)
		}
	}
	return p.withConfig(raw)
}
