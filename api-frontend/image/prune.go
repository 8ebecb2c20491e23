package image

import (
	"context"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/image"

	"github.com/arca-engine/arca/api-frontend/filter"
)

var errPruning = errdefs.ErrConflict.WithMessage("a prune operation is already running")

// PruneReport is what a prune removed.
type PruneReport struct {
	ImagesDeleted  []image.DeleteResponse
	SpaceReclaimed uint64
}

// Prune removes images that no container uses: those without a tag, or with dangling=false all.
func (s *Service) Prune(ctx context.Context, f filter.Filter) (PruneReport, error) {
	if !s.pruning.CompareAndSwap(false, true) {
		return PruneReport{}, errPruning
	}
	defer s.pruning.Store(false)
	var rep PruneReport
	candidates, danglingOnly, err := s.pruneCandidates(f)
	if err != nil {
		return rep, err
	}
	for _, img := range candidates {
		if ctx.Err() != nil {
			break // What was removed is told all the same.
		}
		refs := append(append([]string(nil), img.RepoTags...), img.RepoDigests...)
		switch {
		case len(refs) == 0:
			refs = []string{img.ID}
		case danglingOnly && len(img.RepoTags) > 0:
			continue
		}
		for _, ref := range refs {
			rows, freed, err := s.removeCounted(ref, RemoveOptions{})
			if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
				continue
			}
			if err != nil {
				return rep, err
			}
			rep.ImagesDeleted = append(rep.ImagesDeleted, rows...)
			rep.SpaceReclaimed += uint64(max(freed, 0))
		}
	}
	s.gc.Lock()
	err = s.sweep(time.Now().Add(-keepUnnamed))
	s.gc.Unlock()
	s.publish(events.ActionPrune, "", "", map[string]string{"reclaimed": strconv.FormatUint(rep.SpaceReclaimed, 10)})
	return rep, err
}

func (s *Service) pruneCandidates(f filter.Filter) (out []*Image, danglingOnly bool, err error) {
	if err := f.Validate("dangling", "label", "label!", "until"); err != nil {
		return nil, false, err
	}
	if danglingOnly, err = f.Bool("dangling", true); err != nil {
		return nil, false, err
	}
	var until time.Time
	if values := f.Get("until"); len(values) > 1 {
		return nil, false, invalid("more than one until filter specified")
	} else if len(values) == 1 {
		if until, err = parseTime(values[0], time.Now()); err != nil {
			return nil, false, err
		}
	}
	v, err := s.view()
	if err != nil {
		return nil, false, err
	}
	children := v.children()
	for id := range v.records {
		img, err := s.image(v, id)
		if err != nil {
			return nil, false, err
		}
		labels := img.Config.Labels
		switch {
		case children[id] > 0 && (danglingOnly || len(v.names[id]) == 0),
			!until.IsZero() && (img.Created.IsZero() || img.Created.After(until)),
			!f.MatchKVList("label", labels),
			f.Contains("label!") && f.MatchKVList("label!", labels):
			continue
		}
		out = append(out, img)
	}
	return out, danglingOnly, nil
}
