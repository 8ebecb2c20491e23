package routes

import (
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	wire "github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/server"
)

func badReference(err error) error {
	text := "invalid reference format"
	if err != nil {
		text = err.Error()
	}
	return refusal{text, errdefs.ErrInvalidArgument}
}

// repoTag joins the parameters "repo" and "tag"; nil when there is no repository.
func repoTag(repo, tag string) (reference.Named, error) {
	if repo == "" {
		return nil, nil //nolint:nilnil // No name is a legal answer.
	}
	ref, err := reference.ParseNormalizedNamed(repo)
	if err != nil {
		return nil, badReference(err)
	}
	if _, ok := ref.(reference.Digested); ok {
		return nil, refusal{"cannot import digest reference", errdefs.ErrInvalidArgument}
	}
	if tag != "" {
		t, err := reference.WithTag(reference.TrimNamed(ref), tag)
		if err != nil {
			return nil, badReference(err)
		}
		return t, nil
	}
	return reference.TagNameOnly(ref), nil
}

// withTagOrDigest joins a name and the parameter "tag", which may be a digest.
func withTagOrDigest(name, tag string) (reference.Named, error) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return nil, badReference(err)
	}
	if tag == "" {
		return ref, nil
	}
	if d, err := digest.Parse(tag); err == nil {
		c, err := reference.WithDigest(reference.TrimNamed(ref), d)
		if err != nil {
			return nil, badReference(err)
		}
		return c, nil
	}
	t, err := reference.WithTag(ref, tag)
	if err != nil {
		return nil, badReference(err)
	}
	return t, nil
}

// platformOf reads the parameter "platform": JSON as newer clients send it, or "os/arch/variant".
func platformOf(r *server.Request, since string) (*ocispec.Platform, error) {
	text := r.Get("platform")
	if text == "" || r.VersionLess(since) {
		return nil, nil //nolint:nilnil // No platform is a legal answer.
	}
	if len(r.Query()["platform"]) > 1 {
		return nil, refusal{"multiple platform parameters are not supported in this API version; use API version 1.52 or later", errdefs.ErrInvalidArgument}
	}
	var p ocispec.Platform
	if text[0] == '{' {
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return nil, refusal{"failed to parse platform: " + err.Error(), errdefs.ErrInvalidArgument}
		}
		if p.OS == "" || p.Architecture == "" {
			return nil, refusal{"both OS and Architecture must be provided", errdefs.ErrInvalidArgument}
		}
		return &p, nil
	}
	p, err := platforms.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", refusal{err.Error(), errdefs.ErrInvalidArgument}, err)
	}
	return &p, nil
}

// authOf reads the credentials. As in Docker a malformed header is none.
func authOf(r *server.Request) registry.AuthConfig {
	cfg, err := wire.DecodeAuth(r.Header(registry.AuthHeader))
	if err != nil {
		return registry.AuthConfig{}
	}
	return cfg
}
