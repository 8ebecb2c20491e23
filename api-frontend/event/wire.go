package event

import "github.com/moby/moby/api/types/events"

// Wire is an event as it is sent: with the deprecated fields that clients up to Docker 25 depend on, for containers and
// images.
type Wire struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

// ToWire fills the deprecated fields.
func ToWire(m events.Message) Wire {
	w := Wire{Message: m}
	switch m.Type {
	case events.ContainerEventType:
		w.From = m.Actor.Attributes["image"]
		fallthrough
	case events.ImageEventType:
		w.Status, w.ID = string(m.Action), m.Actor.ID
	}
	return w
}
