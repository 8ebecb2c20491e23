package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/timestamp"
)

// Remove removes a network in which nobody is.
func (s *Service) Remove(ctx context.Context, ref string) error {
	n, err := s.find(ref)
	if err != nil {
		return err
	}
	if n.Predefined {
		return forbidden("%s is a pre-defined network and cannot be removed", n.Name)
	}
	if err := s.bury(n.ID); err != nil {
		return fmt.Errorf("error while removing network: %w", err)
	}
	if n.ConfigOnly {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := s.fabric.RemoveNetwork(ctx, n.ID); err != nil {
		s.cfg.Log.Warn("a removed network is left to the next synchronisation", "network", n.ID, "error", err)
	}
	s.tell(n, events.ActionDestroy, "")
	return nil
}

// bury commits the end of a network.
func (s *Service) bury(id string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	n := s.network(id)
	if n == nil {
		return notFound(id)
	}
	if n.ConfigOnly {
		for _, other := range s.all() {
			if other.ConfigFrom == n.Name {
				return forbidden("configuration network %q is in use", n.Name)
			}
		}
	}
	if active := s.active(id); len(active) > 0 {
		return forbidden("network %s has active endpoints (%s)", n.Name, strings.Join(active, ", "))
	}
	return s.commit(dropNetwork(id))
}

// active describes the endpoints of a network as dockerd does.
func (s *Service) active(id string) (out []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, container := range slices.Sorted(maps.Keys(s.runs)) {
		for _, ep := range s.runs[container].Endpoints {
			if ep.NetworkID == id {
				out = append(out, fmt.Sprintf(`name:%q id:%q`, ep.Names[0], ep.ID[:12]))
			}
		}
	}
	return out
}

// Prune removes the networks in which nobody is.
func (s *Service) Prune(ctx context.Context, f filter.Filter) (network.PruneReport, error) {
	if !s.pruning.CompareAndSwap(false, true) {
		return network.PruneReport{}, errPrune
	}
	defer s.pruning.Store(false)
	report := network.PruneReport{NetworksDeleted: []string{}}
	if err := f.Validate("label", "label!", "until"); err != nil {
		return report, err
	}
	until, err := before(f)
	if err != nil {
		return report, err
	}
	for _, n := range s.all() {
		if ctx.Err() != nil {
			return report, nil
		}
		if !prunable(n, f, until) || s.used(n.ID) {
			continue
		}
		if err := s.Remove(ctx, n.ID); err != nil {
			continue // Taken into use, or removed, since it was found.
		}
		report.NetworksDeleted = append(report.NetworksDeleted, n.Name)
	}
	s.cfg.Events.Publish(events.Message{Type: events.NetworkEventType, Action: events.ActionPrune, Actor: events.Actor{Attributes: map[string]string{"reclaimed": "0"}}})
	return report, nil
}

func prunable(n *desired.Network, f filter.Filter, until time.Time) bool {
	return !n.Predefined && !n.ConfigOnly && (until.IsZero() || !n.Created.After(until)) &&
		f.MatchKVList("label", n.Labels) && (!f.Contains("label!") || !f.MatchKVList("label!", n.Labels))
}

// before reads the filter until; zero: there is none.
func before(f filter.Filter) (time.Time, error) {
	switch values := f.Get("until"); len(values) {
	case 0:
		return time.Time{}, nil
	case 1:
		t, ok := timestamp.Parse(values[0], time.Now())
		if !ok {
			return time.Time{}, invalid("invalid until filter: %q", values[0])
		}
		return t, nil
	default:
		return time.Time{}, invalid("more than one until filter specified")
	}
}
