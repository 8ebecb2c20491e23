package container

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Rename gives a container another name.
func (e *Engine) Rename(ctx context.Context, ref, name string) error {
	c, err := e.Get(ref)
	if err != nil {
		return err
	}
	name, err = normal.CheckName(name)
	if err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	old := c.Record().Name
	if old == name {
		return invalid("Renaming a container with the same name as its current name")
	}
	e.mu.Lock()
	if id, taken := e.names[name]; taken {
		e.mu.Unlock()
		return fmt.Errorf("Error when allocating new name: %w", nameConflict(name, id))
	}
	e.names[name] = c.id
	e.mu.Unlock()
	rec, err := e.change(c, func(n *record.Container) error { n.Name = name; return nil })
	e.mu.Lock()
	if err != nil {
		delete(e.names, name)
	} else {
		delete(e.names, old)
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if err := e.networks.Renamed(ctx, rec); err != nil {
		e.log.Error("tell networks of a new name", "container", c.id, "error", err)
	}
	e.publish(events.ActionRename, rec, map[string]string{"oldName": "/" + old})
	return nil
}
