package network

import (
	"maps"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
)

// Publisher takes events.
type Publisher interface{ Publish(m events.Message) }

// Announcer returns a publisher for the containers that tells of their networks too: a container is connected just before
// it starts, and disconnected just after it died.
func (s *Service) Announcer() Publisher { return announcer{s} }

type announcer struct{ networks *Service }

// Publish implements Publisher.
func (a announcer) Publish(m events.Message) {
	if m.Type == events.ContainerEventType && m.Action == events.ActionStart {
		a.tell(events.ActionConnect, m.Actor.ID)
	}
	a.networks.events.Publish(m)
	if m.Type == events.ContainerEventType && m.Action == events.ActionDie {
		a.tell(events.ActionDisconnect, m.Actor.ID)
	}
}

func (a announcer) tell(action events.Action, container string) {
	c, err := a.networks.containers.RecordOf(container)
	if err != nil {
		return // It is gone: nobody asks for its network any more.
	}
	n, err := a.networks.find(c.HostConfig.NetworkMode.NetworkName())
	if err != nil {
		return // It runs in another container's network.
	}
	a.networks.events.Publish(events.Message{Type: events.NetworkEventType, Action: action, Actor: events.Actor{
		ID: n.ID, Attributes: map[string]string{"container": container, "name": n.Name, "type": n.Driver},
	}})
}

// Complete adds to what inspect shows of a container which networks it is in.
func (s *Service) Complete(settings *view.NetworkSettings, c *record.Container) {
	settings.Networks = maps.Clone(settings.Networks)
	for name, ep := range settings.Networks {
		id := s.ID(name)
		if id == "" || c.State.StartedAt.IsZero() {
			continue
		}
		out := network.EndpointSettings{}
		if ep != nil {
			out = *ep
		}
		out.NetworkID = id
		if c.State.IsRunning() {
			out.EndpointID = Endpoint(id, c)
			if name == network.NetworkBridge {
				settings.EndpointID = out.EndpointID
			}
		}
		settings.Networks[name] = &out
	}
}
