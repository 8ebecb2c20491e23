package network

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	tellAtOnce  = 16 // containers that are told names at a time.
	tellLimit   = 5 * time.Second
	tellFirst   = 20 * time.Millisecond // after a failure; doubled up to tellMax.
	tellMax     = time.Second
	hearingTime = time.Second // that a start waits for its neighbours to know it.
)

var errClosed = errors.New("the networks are closed")

// herald tells running containers their names, each one the newest that there are, until it has taken them. A container
// that does not take them (it is about to start, or about to end) is tried again for as long as it has a run.
type herald struct {
	service *Service
	ctx     context.Context
	cancel  context.CancelCauseFunc
	slots   chan struct{}
	wg      sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners map[string]*listener
}

// listener is one container.
type listener struct {
	wanted uint64        // counts announcements.
	tried  uint64        // the announcement that was last told, or could not be.
	busy   bool          // a goroutine tells it.
	moved  chan struct{} // closed and replaced when tried grows.
	gone   chan struct{} // closed when the run is over.
}

func newHerald(s *Service) *herald {
	h := &herald{service: s, slots: make(chan struct{}, tellAtOnce), listeners: map[string]*listener{}}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	return h
}

// follow makes a container one that is told.
func (h *herald) follow(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[id] == nil {
		h.listeners[id] = &listener{moved: make(chan struct{}), gone: make(chan struct{})}
	}
}

// forget ends that.
func (h *herald) forget(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.listeners[id]; l != nil {
		close(l.gone)
		delete(h.listeners, id)
	}
}

// announce lets containers be told what is committed now.
func (h *herald) announce(ids ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		l := h.listeners[id]
		if l == nil {
			continue
		}
		l.wanted++
		if !l.busy && !h.closed {
			l.busy = true
			h.wg.Go(func() { h.tell(id, l) })
		}
	}
}

// hearing is what a listener has to have been told.
type hearing struct {
	herald *herald
	l      *listener
	upTo   uint64
}

// heard tells what to wait for until containers have been told all that was announced.
func (h *herald) heard(ids ...string) []hearing {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []hearing
	for _, id := range ids {
		if l := h.listeners[id]; l != nil {
			out = append(out, hearing{h, l, l.wanted})
		}
	}
	return out
}

// wait waits until all were told or could not be, for a bounded time.
func wait(ctx context.Context, all []hearing) error {
	limit := time.NewTimer(hearingTime)
	defer limit.Stop()
	for _, w := range all {
		for gone := false; !gone; {
			w.herald.mu.Lock()
			over, moved := w.l.tried >= w.upTo, w.l.moved
			w.herald.mu.Unlock()
			if over {
				break
			}
			select {
			case <-moved:
			case <-w.l.gone:
				gone = true
			case <-limit.C:
				return nil // They are told as soon as they listen.
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// tell tells one container until nothing is new.
func (h *herald) tell(id string, l *listener) {
	delay := tellFirst
	for {
		h.mu.Lock()
		upTo := l.wanted
		h.mu.Unlock()
		err := h.once(id, l)
		h.mu.Lock()
		l.tried = upTo
		close(l.moved)
		l.moved = make(chan struct{})
		if err == nil && l.wanted == upTo || h.ctx.Err() != nil || h.listeners[id] != l {
			l.busy = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		if err == nil {
			delay = tellFirst
			continue
		}
		if !h.pause(l, delay) {
			continue // The checks above end it.
		}
		delay = min(2*delay, tellMax)
	}
}

func (h *herald) once(id string, l *listener) error {
	select {
	case h.slots <- struct{}{}:
	case <-l.gone:
		return nil
	case <-h.ctx.Done():
		return context.Cause(h.ctx)
	}
	defer func() { <-h.slots }()
	table := h.service.Names(id)
	if table == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.ctx, tellLimit)
	defer cancel()
	return h.service.containers.TellNames(ctx, id, table)
}

// pause waits after a failure; false: the run or the service is over.
func (h *herald) pause(l *listener, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.gone:
	case <-h.ctx.Done():
	}
	return false
}

// persist does something until it succeeds or the service ends.
func (h *herald) persist(f func(ctx context.Context) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.wg.Go(func() {
		never := &listener{gone: make(chan struct{})}
		for delay := tellFirst; h.pause(never, delay) && !f(h.ctx); delay = min(2*delay, tellMax) {
			continue
		}
	})
}

// close ends all telling.
func (h *herald) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel(errClosed)
	h.wg.Wait()
}
