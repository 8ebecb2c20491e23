package image

import (
	"context"
	"slices"

	"github.com/moby/moby/api/types/image"

	"github.com/arca-engine/arca/api-frontend/filter"
)

// ListOptions say what is listed.
type ListOptions struct {
	// All shows images that only others are built on, too.
	All bool
	// SharedSize fills in what images share.
	SharedSize bool
	Filters    filter.Filter
}

// List lists images, the youngest first.
func (s *Service) List(_ context.Context, opt ListOptions) ([]image.Summary, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	out := make([]image.Summary, 0, len(v.records))
	for id := range v.records {
		img, err := s.image(v, id)
		if err != nil {
			return nil, err
		}
		out = append(out, summary(img))
	}
	slices.SortStableFunc(out, func(a, b image.Summary) int { return int(b.Created - a.Created) })
	return out, nil
}

func summary(img *Image) image.Summary {
	sum := image.Summary{
		ID: img.ID, ParentID: img.Parent, Created: img.Created.Unix(), Size: img.Size, SharedSize: -1, Containers: -1,
		Labels: img.Config.Labels, RepoTags: img.RepoTags, RepoDigests: img.RepoDigests,
	}
	if sum.RepoTags == nil {
		sum.RepoTags = []string{}
	}
	if sum.RepoDigests == nil {
		sum.RepoDigests = []string{}
	}
	return sum
}
