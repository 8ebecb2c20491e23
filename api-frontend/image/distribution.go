package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	apiregistry "github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/registry"
)

// Distribution asks the registry what a name means, without pulling.
func (s *Service) Distribution(ctx context.Context, ref reference.Named, auth apiregistry.AuthConfig) (apiregistry.DistributionInspect, error) {
	var out apiregistry.DistributionInspect
	ref = reference.TagNameOnly(ref)
	err := s.registry.Each(ctx, ref, auth, registry.ScopePull, func(sess *registry.Session) error {
		m, err := sess.Manifest(ctx, tagOf(ref))
		if err != nil {
			return err
		}
		out.Descriptor = m.Descriptor
		out.Platforms, err = manifestPlatforms(ctx, sess, m)
		return err
	})
	return out, err
}

func manifestPlatforms(ctx context.Context, sess *registry.Session, m registry.Manifest) ([]ocispec.Platform, error) {
	if m.IsIndex() {
		var index ocispec.Index
		if err := json.Unmarshal(m.Raw, &index); err != nil {
			return nil, fmt.Errorf("decode index: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		out := make([]ocispec.Platform, 0, len(index.Manifests))
		for _, d := range index.Manifests {
			if d.Platform != nil {
				out = append(out, *d.Platform)
			}
		}
		return out, nil
	}
	p, err := parseManifest(m)
	if err != nil {
		return nil, err
	}
	body, _, err := sess.Blob(ctx, p.manifest.Config, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // Read only: nothing to lose.
	raw, err := io.ReadAll(io.LimitReader(body, p.manifest.Config.Size+1))
	if err != nil {
		return nil, fmt.Errorf("download image config: %w", err)
	}
	if err := p.withConfig(raw); err != nil {
		return nil, err
	}
	return []ocispec.Platform{p.config.Platform}, nil
}
