package image

import (
	"encoding/json"
	"fmt"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
)

// config is an image's configuration with the fields that only Docker's own have.
type config struct {
	dockerspec.DockerOCIImage

	Comment       string `json:"comment,omitempty"`
	DockerVersion string `json:"docker_version,omitempty"`
}

// config reads a configuration; each is parsed once.
func (s *Service) config(d digest.Digest) (*config, error) {
	if c, ok := s.configs.Load(d); ok {
		return c.(*config), nil //nolint:forcetypeassert // Only this function stores.
	}
	raw, err := s.content.ReadBlob(d)
	if err != nil {
		return nil, err
	}
	c := new(config)
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("decode image config: %w", err)
	}
	s.configs.Store(d, c)
	return c, nil
}
