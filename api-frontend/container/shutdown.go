package container

import (
	"context"
	"sync"
	"time"
)

// shutdownMargin is what a container that ignores its stop signal needs beyond its stop timeout.
const shutdownMargin = 5 * time.Second

// ShutdownLimit tells how long Shutdown may take, as dockerd counts it: the configured time, or the longest stop timeout
// of a container when that is longer. There is no limit when the configured time or a stop timeout is negative.
func (e *Engine) ShutdownLimit(configured time.Duration) (limit time.Duration, limited bool) {
	if configured < 0 {
		return 0, false
	}
	for _, c := range e.All() {
		rec := c.Record()
		if !rec.State.IsActive() {
			continue
		}
		timeout := stopTimeout(rec)
		if timeout < 0 {
			return 0, false
		}
		configured = max(configured, time.Duration(timeout)*time.Second)
	}
	return configured + shutdownMargin, true
}

// Shutdown stops all containers as dockerd does at its end: restart policies keep their meaning, so containers that
// should run are started again by the next engine. With live-restore it does nothing. It is called before Run's context ends.
func (e *Engine) Shutdown(ctx context.Context) {
	if e.live {
		return
	}
	e.shutting.Store(true)
	var wg sync.WaitGroup
	for _, c := range e.All() {
		wg.Go(func() {
			// A start that is under way has the turn; none comes after.
			if err := c.lock(ctx); err != nil {
				return
			}
			defer c.unlock()
			if err := e.stopLocked(ctx, c, StopOptions{}); err != nil {
				e.log.Error("stop container at shutdown", "container", c.id, "error", err)
			}
		})
	}
	wg.Wait()
}
