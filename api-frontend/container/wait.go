package container

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// ExitStatus is what a wait answers.
type ExitStatus struct {
	Code  int
	Error string // of a start or a removal that failed.
}

// maxWaiters bounds the waits on one container.
const maxWaiters = 10_000

type waiter struct {
	condition container.WaitCondition
	result    chan ExitStatus // of capacity 1; written at most once.
}

// Waiting is a wait that is in place. Close must follow.
type Waiting struct {
	c *Container
	w *waiter
}

// Wait registers a wait at once, so that the HTTP headers that tell the client that its wait is in place can be sent
// before it blocks.
func (e *Engine) Wait(ref string, condition container.WaitCondition) (*Waiting, error) {
	switch condition {
	case "":
		condition = container.WaitConditionNotRunning
	case container.WaitConditionNotRunning, container.WaitConditionNextExit, container.WaitConditionRemoved:
	default:
		return nil, invalid("invalid condition: %q", string(condition))
	}
	c, err := e.Get(ref)
	if err != nil {
		return nil, err
	}
	w := &waiter{condition: condition, result: make(chan ExitStatus, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.Record()
	switch {
	case c.removed, condition == container.WaitConditionNotRunning && !r.State.IsActive():
		w.result <- ExitStatus{Code: r.State.ExitCode, Error: r.State.Error}
	case len(c.waiters) >= maxWaiters:
		return nil, &sentence{"too many waits on container " + c.id, errdefs.ErrResourceExhausted}
	default:
		c.waiters[w] = struct{}{}
	}
	return &Waiting{c, w}, nil
}

// Result blocks until the wait is over.
func (w *Waiting) Result(ctx context.Context) (ExitStatus, error) {
	select {
	case s := <-w.w.result:
		return s, nil
	case <-ctx.Done():
		return ExitStatus{}, context.Cause(ctx)
	}
}

// Close gives the wait up.
func (w *Waiting) Close() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	delete(w.c.waiters, w.w)
}

// exited answers the waits that an exit ends. With a restart to come only those for the next exit.
func (c *Container) exited(s ExitStatus, restarting bool) {
	c.notify(s, func(cond container.WaitCondition) bool {
		return cond == container.WaitConditionNextExit || cond == container.WaitConditionNotRunning && !restarting
	})
}

// gone answers all waits: the container was removed.
func (c *Container) gone(s ExitStatus) {
	c.mu.Lock()
	c.removed = true
	c.mu.Unlock()
	c.notify(s, func(container.WaitCondition) bool { return true })
	c.poke()
}

func (c *Container) notify(s ExitStatus, match func(container.WaitCondition) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waiters {
		if match(w.condition) {
			w.result <- s
			delete(c.waiters, w)
		}
	}
}

// settled blocks until the container is neither running nor about to be restarted, and its sandbox was released or waits
// for the end of a copy alone. The end of signalled, which may be nil, is enough: a client may have started the next run
// before this one looks.
func (c *Container) settled(ctx context.Context, signalled *run) error {
	return c.until(ctx, func(busy bool) bool {
		r := c.currentRun()
		if signalled != nil && r != signalled {
			return true
		}
		if r != nil && r.loans.awaited() {
			busy = false
		}
		return !busy && !c.Record().State.IsActive()
	})
}

// vacant blocks until no run is under way.
func (c *Container) vacant(ctx context.Context) error {
	return c.until(ctx, func(busy bool) bool { return !busy })
}

func (c *Container) until(ctx context.Context, cond func(busy bool) bool) error {
	for {
		c.mu.Lock()
		changed, busy := c.changed, c.run != nil
		c.mu.Unlock()
		if cond(busy) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// poke wakes everybody who waits for a change.
func (c *Container) poke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}
