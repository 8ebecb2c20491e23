package container

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

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

// Prune removes the containers that do not run and that the filters (label, label!, until) let through.
func (e *Engine) Prune(ctx context.Context, f filter.Filter) (container.PruneReport, error) {
	report := container.PruneReport{ContainersDeleted: []string{}}
	match, err := pruneFilter(f)
	if err != nil {
		return report, err
	}
	for _, c := range e.All() {
		if ctx.Err() != nil {
			break // What was removed is told.
		}
		r := c.Record()
		if r.State.IsActive() || !match(r) {
			continue
		}
		size, err := e.sandboxes.Client().UsageUpper(ctx, r.ID)
		if err != nil {
			return report, err
		}
		if err := e.remove(context.WithoutCancel(ctx), c, RemoveOptions{}); err != nil {
			e.log.Warn("prune container", "container", r.ID, "error", err)
			continue
		}
		report.SpaceReclaimed += uint64(size)
		report.ContainersDeleted = append(report.ContainersDeleted, r.ID)
	}
	e.events.Publish(events.Message{Type: events.ContainerEventType, Action: events.ActionPrune, Actor: events.Actor{
		Attributes: map[string]string{"reclaimed": fmt.Sprint(report.SpaceReclaimed)},
	}})
	return report, nil
}
