package image

import (
	"maps"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
)

// publish tells an event. actor is an image's ID or, as Docker has it for pull and push, its name.
func (s *Service) publish(action events.Action, actor, name string, labels map[string]string) {
	if s.opt.Publisher == nil {
		return
	}
	attrs := make(map[string]string, len(labels)+1)
	maps.Copy(attrs, labels)
	if name != "" {
		attrs["name"] = name
	}
	s.opt.Publisher.Publish(events.Message{
		Type: events.ImageEventType, Action: action, Actor: events.Actor{ID: actor, Attributes: attrs},
	})
}

// publishID tells an event of an image by its ID; name is the familiar one, or the ID again where Docker has that.
func (s *Service) publishID(action events.Action, id string, r imageRecord, name string) {
	var labels map[string]string
	if c, err := s.config(r.Config.Digest); err == nil {
		labels = c.Config.Labels // Without its configuration an image has no labels to tell.
	}
	s.publish(action, id, name, labels)
}

func (s *Service) publishPull(ref reference.Named, p *parsed) {
	s.publish(events.ActionPull, reference.FamiliarString(ref), reference.FamiliarName(ref), p.config.Config.Labels)
}
