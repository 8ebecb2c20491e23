package image

import (
	"cmp"
	"context"
	"slices"

	"github.com/moby/moby/api/types/image"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/filter"
)

// ListOptions say what is listed.
type ListOptions struct {
	// All shows images without a name that others are built on, too.
	All bool
	// SharedSize fills in what images share, Containers how many containers use each.
	SharedSize, Containers bool
	Filters                filter.Filter
}

// List lists images, the youngest first.
func (s *Service) List(ctx context.Context, opt ListOptions) ([]image.Summary, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	sel, err := s.selection(v, opt)
	if err != nil {
		return nil, err
	}
	out := make([]image.Summary, 0, len(v.records))
	for id := range v.records {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		img, err := s.image(v, id)
		if err != nil {
			return nil, err
		}
		if sum, ok, err := sel.summary(img); err != nil {
			return nil, err
		} else if ok {
			out = append(out, sum)
		}
	}
	if opt.SharedSize {
		v.share(out)
	}
	if opt.Containers {
		s.countContainers(out)
	}
	slices.SortFunc(out, func(a, b image.Summary) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func summarize(img *Image) image.Summary {
	created := img.Created.Unix()
	if img.Created.IsZero() {
		created = 0
	}
	return image.Summary{
		ID: img.ID, ParentID: img.Parent, Created: created, Size: img.Size, SharedSize: -1, Containers: -1,
		Labels: img.Config.Labels, RepoTags: img.RepoTags, RepoDigests: img.RepoDigests,
	}
}

// share fills in the sizes of layers that several images have. As in Docker a layer is shared when all below it is too.
func (v *view) share(out []image.Summary) {
	count := make(map[digest.Digest]int)
	for _, r := range v.records {
		for _, chain := range chainIDs(r.DiffIDs) {
			count[chain]++
		}
	}
	for i := range out {
		out[i].SharedSize = 0
		r := v.records[out[i].ID]
		for n, chain := range chainIDs(r.DiffIDs) {
			if count[chain] > 1 {
				out[i].SharedSize += v.sizes[r.DiffIDs[n]]
			}
		}
	}
}

func (s *Service) countContainers(out []image.Summary) {
	count := make(map[string]int64)
	for _, u := range s.users() {
		count[u.ImageID]++
	}
	for i := range out {
		out[i].Containers = count[out[i].ID]
	}
}

func (s *Service) users() []User {
	if s.opt.Users == nil {
		return nil
	}
	return s.opt.Users.ImageUsers()
}
