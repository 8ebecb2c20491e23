package event

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
)

const (
	// historySize is how many events are remembered, as Docker does.
	historySize = 256
	scopeLocal  = "local"
)

// Bus takes events and gives them to subscribers. The zero Bus is ready to use.
type Bus struct {
	mu      sync.Mutex
	history []events.Message
	subs    map[*Subscription]struct{}
	last    int64
}

// Publish stamps an event with time and scope, where they are missing, and gives it to everybody.
func (b *Bus) Publish(m events.Message) {
	m.Actor.Attributes = maps.Clone(m.Actor.Attributes)
	if m.Actor.Attributes == nil {
		m.Actor.Attributes = map[string]string{}
	}
	if m.Scope == "" {
		m.Scope = scopeLocal
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stampLocked(&m)
	if len(b.history) >= historySize {
		b.history = slices.Delete(b.history, 0, 1)
	}
	b.history = append(b.history, m)
	for s := range b.subs {
		s.offer(m)
	}
}

// stampLocked gives an event without a time the present one. Two events never share a time, so that a client that
// resumes with since loses none and a sort by time keeps their order.
func (b *Bus) stampLocked(m *events.Message) {
	if m.TimeNano == 0 {
		m.TimeNano = max(time.Now().UnixNano(), b.last+1)
	}
	m.Time = m.TimeNano / int64(time.Second)
	b.last = max(b.last, m.TimeNano)
}

// Subscribe returns the remembered events between since and until that match, and a subscription to those that come.
// Without since and until there is no history, as in Docker. A nil match takes all. The subscription must be closed.
func (b *Bus) Subscribe(since, until time.Time, match func(events.Message) bool) ([]events.Message, *Subscription) {
	if match == nil {
		match = func(events.Message) bool { return true }
	}
	s := &Subscription{bus: b, match: match, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[*Subscription]struct{}{}
	}
	b.subs[s] = struct{}{}
	return b.pastLocked(since, until, match), s
}

func (b *Bus) pastLocked(since, until time.Time, match func(events.Message) bool) []events.Message {
	if since.IsZero() && until.IsZero() {
		return nil
	}
	var past []events.Message
	for _, m := range b.history {
		at := time.Unix(0, m.TimeNano)
		if !at.Before(since) && (until.IsZero() || !at.After(until)) && match(m) {
			past = append(past, m)
		}
	}
	return past
}

// Subscribers is the number of open subscriptions.
func (b *Bus) Subscribers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}
