package event

import (
	"context"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
)

// queueSize bounds what waits for a slow subscriber.
const queueSize = 4096

// ErrOverflow ends the subscription of one who reads too slowly.
var ErrOverflow = errdefs.ErrResourceExhausted.WithMessage("the event stream fell too far behind and was ended")

// Subscription is one listener's queue.
type Subscription struct {
	bus   *Bus
	match func(events.Message) bool
	wake  chan struct{}

	mu         sync.Mutex
	queue      []events.Message
	overflowed bool
}

// offer queues an event that matches; it never waits.
func (s *Subscription) offer(m events.Message) {
	if !s.match(m) {
		return
	}
	s.mu.Lock()
	if len(s.queue) >= queueSize {
		s.overflowed = true
	} else if !s.overflowed {
		s.queue = append(s.queue, m)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event. It waits for one until ctx ends, and fails with ErrOverflow behind the last event that
// found room.
func (s *Subscription) Next(ctx context.Context) (events.Message, error) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			m := s.queue[0]
			s.queue[0] = events.Message{}
			s.queue = s.queue[1:]
			if len(s.queue) == 0 {
				s.queue = nil
			}
			s.mu.Unlock()
			return m, nil
		}
		overflowed := s.overflowed
		s.mu.Unlock()
		if overflowed {
			return events.Message{}, ErrOverflow
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return events.Message{}, context.Cause(ctx)
		}
	}
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
}
