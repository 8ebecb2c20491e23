package keylock

import (
	"context"
	"fmt"
	"sync"
)

// Map holds the mutexes. The zero value is ready.
type Map struct {
	mu    sync.Mutex
	locks map[string]*lock
}

type lock struct {
	turn chan struct{}
	refs int
}

// Lock takes the turn of key, or returns the cause of ctx's end.
func (m *Map) Lock(ctx context.Context, key string) error {
	m.mu.Lock()
	l := m.locks[key]
	if l == nil {
		l = &lock{turn: make(chan struct{}, 1)}
		if m.locks == nil {
			m.locks = map[string]*lock{}
		}
		m.locks[key] = l
	}
	l.refs++
	m.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		m.drop(key, l)
		return fmt.Errorf("wait for turn of %s: %w", key, context.Cause(ctx))
	}
}

// Unlock gives the turn of key back. It panics when nobody holds it, as sync.Mutex does.
func (m *Map) Unlock(key string) {
	m.mu.Lock()
	l := m.locks[key]
	m.mu.Unlock()
	if l == nil {
		panic("keylock: unlock of unlocked " + key)
	}
	select {
	case <-l.turn:
	default:
		panic("keylock: unlock of unlocked " + key)
	}
	m.drop(key, l)
}

func (m *Map) drop(key string, l *lock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.refs--
	if l.refs == 0 {
		delete(m.locks, key)
	}
}
