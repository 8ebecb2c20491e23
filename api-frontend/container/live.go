package container

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

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
	erased  bool          // the record is no longer in the store; under writing.

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

// change commits a changed copy of the record and shows it to readers.
func (e *Engine) change(c *Container, f func(r *record.Container) error) (*record.Container, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.erased {
		return nil, notFound(c.id)
	}
	next := c.rec.Load().Clone()
	if err := f(next); err != nil {
		return nil, err
	}
	if err := e.store.Update(func(tx *store.Tx) error { return bucket.Put(tx, next.ID, next) }); err != nil {
		return nil, fmt.Errorf("commit container %s: %w", c.id, err)
	}
	c.rec.Store(next)
	c.poke()
	return next, nil
}

// changeSurely is change, again and again while the store fails. Its error is the engine's end, or f's. It goes on where f
// finds no step to make.
func (e *Engine) changeSurely(ctx context.Context, c *Container, f func(r *record.Container) error) (*record.Container, error) {
	for delay := redialFirst; ; delay = min(2*delay, redialMax) {
		var refused error
		rec, err := e.change(c, func(r *record.Container) error {
			refused = f(r)
			return refused
		})
		if err == nil || refused != nil || errdefs.IsNotFound(err) {
			return rec, err
		}
		e.log.Error("the database refuses a change, trying again", "container", c.id, "error", err)
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}
