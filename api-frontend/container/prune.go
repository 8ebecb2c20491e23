package container

import (
	"time"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/timestamp"
)

// pruneFilter reads the filters of POST /containers/prune: label, label! and until.
func pruneFilter(f filter.Filter) (func(*record.Container) bool, error) {
	if err := f.Validate("label", "label!", "until"); err != nil {
		return nil, err
	}
	var until time.Time
	switch values := f.Get("until"); len(values) {
	case 0:
	case 1:
		var ok bool
		if until, ok = timestamp.Parse(values[0], time.Now()); !ok {
			return nil, invalid("invalid filter 'until=[%s]': failed to parse value as time or duration: %q", values[0], values[0])
		}
	default:
		return nil, invalid("more than one until filter specified")
	}
	return func(r *record.Container) bool {
		return (until.IsZero() || !r.Created.After(until)) &&
			f.MatchKVList("label", r.Config.Labels) &&
			(!f.Contains("label!") || !f.MatchKVList("label!", r.Config.Labels))
	}, nil
}
