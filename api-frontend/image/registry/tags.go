package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Tags lists every tag of the repository.
func (s *Session) Tags(ctx context.Context) ([]string, error) {
	tags, err := remote.List(s.repo, remote.WithContext(ctx), remote.WithTransport(s.rt))
	if err != nil {
		return nil, translate(s.named, s.ep, err)
	}
	return tags, nil
}
