package container

import (
	"context"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/sandbox"
)

// Borrow makes a container's root reachable, by its running sandbox or by one for maintenance, until release.
func (e *Engine) Borrow(ctx context.Context, rec *record.Container) (agent *sandbox.Agent, release func(), err error) {
	c, err := e.Get(rec.ID)
	if err != nil {
		return nil, nil, err
	}
	box, release, err := e.maintain(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	return box.Agent(), release, nil
}

// OpenLog gives the log of a container and tells whether it has a terminal.
func (e *Engine) OpenLog(_ context.Context, ref string) (l *logs.Log, tty bool, err error) {
	c, err := e.Get(ref)
	if err != nil {
		return nil, false, err
	}
	r := c.Record()
	if r.State.Status == record.Removing || r.State.Status == record.Dead {
		return nil, false, conflict("can not get logs from container which is dead or marked for removal")
	}
	l, err = e.openLog(c)
	return l, r.Config.Tty, err
}
