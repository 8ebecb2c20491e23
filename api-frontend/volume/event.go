package volume

import (
	"strconv"

	"github.com/moby/moby/api/types/events"
)

// Use is one mount of a volume in a container, for its events.
type Use struct {
	Name        string
	ContainerID string
	Destination string
	ReadWrite   bool
	Propagation string
}

// Mounted tells that a container that starts has mounted a volume.
func (s *Service) Mounted(u Use) {
	s.tell(u.Name, events.ActionMount, map[string]string{
		"driver":      Driver,
		"container":   u.ContainerID,
		"destination": u.Destination,
		"read/write":  strconv.FormatBool(u.ReadWrite),
		"propagation": u.Propagation,
	})
}

// Unmounted tells that a container that ended has let go of a volume.
func (s *Service) Unmounted(name, containerID string) {
	s.tell(name, events.ActionUnmount, map[string]string{"driver": Driver, "container": containerID})
}

func (s *Service) tell(name string, action events.Action, attributes map[string]string) {
	s.publish.Publish(events.Message{
		Type:   events.VolumeEventType,
		Action: action,
		Actor:  events.Actor{ID: name, Attributes: attributes},
		Scope:  "local",
	})
}
