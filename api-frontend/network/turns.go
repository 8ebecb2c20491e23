package network

import (
	"context"
	"sync"
)

// turns are locks by name.
type turns struct {
	mu    sync.Mutex
	holds map[string]*turn
}

type turn struct {
	held  chan struct{}
	users int
}

// take waits for the turn of a name; done gives it back.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	if t.holds == nil {
		t.holds = map[string]*turn{}
	}
	h := t.holds[name]
	if h == nil {
		h = &turn{held: make(chan struct{}, 1)}
		t.holds[name] = h
	}
	h.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(t.holds, name)
		}
	}
	select {
	case h.held <- struct{}{}:
		return func() { <-h.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
