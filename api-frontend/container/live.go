package container

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/store"
)

var bucket = store.Bucket[*record.Container]{Name: record.Bucket}

// Container is a live container: its record, its log, its current run and those who wait for it.
type Container struct {
	id  string
	rec atomic.Pointer[record.Container]

	entry atomic.Pointer[view.Entry] // the record as lists show it, rendered at the first list after a change.

	turn    chan struct{} // held by the one client operation that may change the container.
	writing sync.Mutex    // one writer of the record at a time, across the commit.

	mu       sync.Mutex
	log      *logs.Log
	run      *run
	waiters  map[*waiter]struct{}
	removed  bool
	removing bool
	keep     bool // a restart is under way: no automatic removal.
	backoff  backoff
	changed  chan struct{} // closed and replaced at each change of the record.
}

func newContainer(rec *record.Container) *Container {
	c := &Container{id: rec.ID, turn: make(chan struct{}, 1), waiters: map[*waiter]struct{}{}, changed: make(chan struct{})}
	c.rec.Store(rec)
	return c
}

// ID returns the full ID.
func (c *Container) ID() string { return c.id }

// Record returns the record as it is now. It must not be changed.
func (c *Container) Record() *record.Container { return c.rec.Load() }

// lock takes the container's turn.
func (c *Container) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Container) unlock() { <-c.turn }

// currentRun returns the run in progress, or nil.
func (c *Container) currentRun() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run
}

// change commits a changed copy of the record, together with whatever else tx does, and shows it to readers.
func (e *Engine) change(c *Container, f func(r *record.Container) error) (*record.Container, error) {
	return e.changeTx(c, func(_ *store.Tx, r *record.Container) error { return f(r) })
}

func (e *Engine) changeTx(c *Container, f func(tx *store.Tx, r *record.Container) error) (*record.Container, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	next := c.rec.Load().Clone()
	err := e.store.Update(func(tx *store.Tx) error {
		if err := f(tx, next); err != nil {
			return err
		}
		return bucket.Put(tx, next.ID, next)
	})
	if err != nil {
		return nil, err
	}
	c.rec.Store(next)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
	return next, nil
}
