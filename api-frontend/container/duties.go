package container

import (
	"context"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// resumeDuties takes up, once after the start, what the previous frontend had begun: removals, restarts, and the
// restart policies of containers that should run.
func (e *Engine) resumeDuties(ctx context.Context) {
	e.reapStores(ctx)
	for _, c := range e.All() {
		r := c.Record()
		p := r.HostConfig.RestartPolicy
		switch {
		case r.State.Status == record.Removing,
			r.HostConfig.AutoRemove && (r.State.Status == record.Exited || r.State.Status == record.Dead || r.State.Status == record.Created && r.State.Error != ""):
			e.goRun(func(ctx context.Context) {
				e.removeSurely(ctx, c, RemoveOptions{Force: true, Volumes: r.HostConfig.AutoRemove})
			})
		case r.State.Status == record.Restarting:
			e.goRun(func(ctx context.Context) { e.restartAfter(ctx, c, backoffFirst) })
		case r.State.Status == record.Exited && (p.IsAlways() || !r.State.HasBeenManuallyStopped &&
			(p.IsUnlessStopped() || p.IsOnFailure() && r.State.ExitCode != 0 &&
				(p.MaximumRetryCount == 0 || r.State.RestartCount < p.MaximumRetryCount))):
			e.goRun(func(ctx context.Context) { e.startByPolicy(ctx, c) })
		}
	}
}

// reapStores deletes the writable layers of containers that were removed while vmhelper was away.
func (e *Engine) reapStores(ctx context.Context) {
	uppers, _, err := e.sandboxes.Client().Stores(ctx)
	if err != nil {
		e.log.Error("list writable layers", "error", err)
		return
	}
	for _, id := range uppers {
		e.mu.RLock()
		_, known := e.byID[id]
		e.mu.RUnlock()
		if known || e.fabric.Owns(id) {
			continue
		}
		if err := e.sandboxes.Client().RemoveUpper(ctx, id); err != nil {
			e.log.Error("remove leftover writable layer", "id", id, "error", err)
		}
	}
}
