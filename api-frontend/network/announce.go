package network

import (
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Announcer returns a publisher for the containers that tells of their networks too: a container is connected just before
// it starts, and disconnected just after it died.
func (s *Service) Announcer() Publisher { return announcer{s} }

type announcer struct{ networks *Service }

// Publish implements Publisher.
func (a announcer) Publish(m events.Message) {
	if m.Type == events.ContainerEventType && m.Action == events.ActionStart {
		a.tell(events.ActionConnect, m.Actor.ID)
	}
	a.networks.cfg.Events.Publish(m)
	if m.Type == events.ContainerEventType && m.Action == events.ActionDie {
		a.tell(events.ActionDisconnect, m.Actor.ID)
	}
}

func (a announcer) tell(action events.Action, container string) {
	rec, err := a.networks.containers.RecordOf(container)
	if err != nil {
		return // It is gone: nobody asks for its networks any more.
	}
	if rec.HostConfig.NetworkMode.IsContainer() || rec.Config.NetworkDisabled {
		return // It runs in another container's networks.
	}
	var told []*desired.Network
	for _, ref := range a.networks.order(rec) {
		n, err := a.networks.find(ref)
		if err != nil {
			continue // It was removed.
		}
		told = append(told, n)
	}
	for _, n := range told {
		a.networks.tell(n, action, container)
	}
}
