package volume

import (
	"context"
	"strconv"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/filter"
)

// Prune removes the volumes that nobody uses: anonymous ones, or all when all is set or the filter says all=true (label
// and label! narrow it).
// Volumes with options are left alone, as nothing would be reclaimed. A client that leaves ends it.
func (s *Service) Prune(ctx context.Context, f filter.Filter, all bool) (volume.PruneReport, error) {
	if !s.pruning.CompareAndSwap(false, true) {
		return volume.PruneReport{}, errPruning
	}
	defer s.pruning.Store(false)
	asked, err := wantsAll(f)
	if err != nil {
		return volume.PruneReport{}, err
	}
	if err := f.Validate("label", "label!", "all"); err != nil {
		return volume.PruneReport{}, err
	}
	goes := func(r Record) bool {
		return len(r.Users) == 0 && len(r.Options) == 0 &&
			(all || asked || r.Anonymous()) &&
			f.MatchKVList("label", r.Labels) &&
			(!f.Contains("label!") || !f.MatchKVList("label!", r.Labels))
	}
	found, err := s.find(goes)
	if err != nil {
		return volume.PruneReport{}, err
	}
	report := volume.PruneReport{VolumesDeleted: make([]string, 0, len(found))}
	for _, r := range found {
		if ctx.Err() != nil {
			return report, nil
		}
		size, err := s.stores.UsageVolume(ctx, r.ID)
		if err != nil {
			size = 0
		}
		id := r.ID
		if _, err := s.bury(r.Name, func(r Record) bool { return r.ID == id && goes(r) }); err != nil {
			continue // Taken into use, or removed, since it was found.
		}
		if err := s.unmake(ctx, r); err != nil {
			if err := s.exhume(r); err != nil {
				return report, err
			}
			continue
		}
		s.tell(r.Name, events.ActionDestroy, map[string]string{"driver": Driver})
		report.VolumesDeleted = append(report.VolumesDeleted, r.Name)
		report.SpaceReclaimed += uint64(max(size, 0))
	}
	s.tell("", events.ActionPrune, map[string]string{"reclaimed": strconv.FormatUint(report.SpaceReclaimed, 10)})
	return report, nil
}

func wantsAll(f filter.Filter) (bool, error) {
	switch values := f.Get("all"); len(values) {
	case 0:
		return false, nil
	case 1:
		all, err := strconv.ParseBool(values[0])
		if err != nil {
			return false, invalid("invalid filter 'all': %v", err)
		}
		return all, nil
	default:
		return false, invalid("invalid filter 'all=%s': only one value is expected", values)
	}
}
