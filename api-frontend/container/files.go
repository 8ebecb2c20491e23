package container

import (
	"context"
	"fmt"

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
	l, err = e.openLog(c)
	return l, c.Record().Config.Tty, err
}

// openLog returns the container's log, opened at its first use.
func (e *Engine) openLog(c *Container) (*logs.Log, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		return c.log, nil
	}
	if c.removed {
		return nil, notFound(c.id)
	}
	r := c.Record()
	if r.State.Status == record.Removing || r.State.Status == record.Dead {
		return nil, conflict("can not get logs from container which is dead or marked for removal")
	}
	log, err := logs.Open(logs.Config{
		Driver: r.LogConfig.Type, Options: r.LogConfig.Config, Dir: e.dir(r.ID),
		ContainerID: r.ID, Name: r.Name, ImageName: r.Config.Image, ImageID: r.ImageID,
		Entrypoint: r.Path, Args: r.Args, Env: r.Config.Env, Labels: r.Config.Labels, Created: r.Created,
	})
	if err != nil {
		return nil, fmt.Errorf("open log of container %s: %w", r.ID, err)
	}
	c.log = log
	return log, nil
}
