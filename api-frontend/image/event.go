package image

import (
	"maps"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
)

// publish tells an event of an image. actor is the ID or, as Docker has it for some, a name.
func (s *Service) publish(action events.Action, actor, name string, labels map[string]string) {
	if s.opt.Publisher == nil {
		return
	}
	attrs := make(map[string]string, len(labels)+1)
	maps.Copy(attrs, labels)
	if name != "" {
		attrs["name"] = name
	}
	now := time.Now()
	s.opt.Publisher.Publish(events.Message{
		Type: events.ImageEventType, Action: action, Actor: events.Actor{ID: actor, Attributes: attrs},
		Scope: "local", Time: now.Unix(), TimeNano: now.UnixNano(),
	})
}

func (s *Service) publishPull(ref reference.Named, p *parsed) {
	s.publish(events.ActionPull, reference.FamiliarString(ref), reference.FamiliarName(ref), p.config.Config.Labels)
}
