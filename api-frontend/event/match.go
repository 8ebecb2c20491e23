package event

import (
	"slices"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
)

// named are the types of objects whose name or ID is a filter key of its own.
var named = []events.Type{
	events.DaemonEventType, events.ContainerEventType, events.PluginEventType, events.VolumeEventType,
	events.NetworkEventType, events.NodeEventType, events.ServiceEventType, events.SecretEventType,
	events.ConfigEventType,
}

// Match returns the test of a filter, with Docker's rules for each key; nil when the filter is empty.
func Match(f filter.Filter) func(events.Message) bool {
	if f.Len() == 0 {
		return nil
	}
	return func(m events.Message) bool {
		return matchAction(f, m) &&
			f.ExactMatch("type", string(m.Type)) &&
			f.ExactMatch("scope", m.Scope) &&
			!slices.ContainsFunc(named, func(t events.Type) bool { return !matchNamed(f, m, t) }) &&
			matchImage(f, m) &&
			f.MatchKVList("label", m.Actor.Attributes)
	}
}

// matchAction compares actions. Some have a text behind a colon and are asked for without it.
func matchAction(f filter.Filter, m events.Message) bool {
	for _, value := range f.Get("event") {
		switch events.Action(value) {
		case events.ActionHealthStatus, events.ActionExecCreate, events.ActionExecStart:
			return f.FuzzyMatch("event", string(m.Action))
		}
	}
	return f.ExactMatch("event", string(m.Action))
}

func matchNamed(f filter.Filter, m events.Message, t events.Type) bool {
	return f.FuzzyMatch(string(t), m.Actor.ID) || f.FuzzyMatch(string(t), m.Actor.Attributes["name"])
}

// matchImage compares the image of image and container events, with and without its tag.
func matchImage(f filter.Filter, m events.Message) bool {
	attribute := "image"
	if m.Type == events.ImageEventType {
		attribute = "name"
	}
	id, name := m.Actor.ID, m.Actor.Attributes[attribute]
	return f.ExactMatch("image", id) || f.ExactMatch("image", name) ||
		f.ExactMatch("image", untagged(id)) || f.ExactMatch("image", untagged(name))
}

func untagged(image string) string {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.FamiliarName(ref)
}
