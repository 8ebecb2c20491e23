package agent

import (
	"context"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// watchOOM tells the host when memory of a container runs out. The returned function ends the watch.
func (a *Agent) watchOOM(c *container) func() {
	w, err := a.runtime.WatchOOM(cgroupPath(c.id))
	if err != nil {
		return nil // Without a memory controller there is nothing to watch.
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for w.Next(ctx) {
			c.saidOOM = true
			a.sayOOM(c.id)
		}
	}()
	return func() {
		cancel(nil)
		<-done
	}
}

func (a *Agent) sayOOM(id string) {
	a.events.send(&guestv1.Event{Event: &guestv1.Event_OutOfMemory{OutOfMemory: &guestv1.OutOfMemory{ContainerId: id}}})
}
