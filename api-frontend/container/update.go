package container

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Update changes limits and the restart policy, of a running container at once.
func (e *Engine) Update(ctx context.Context, ref string, req *container.UpdateConfig, version string) (container.UpdateResponse, error) {
	var answer container.UpdateResponse
	c, err := e.Get(ref)
	if err != nil {
		return answer, err
	}
	if err := c.lock(ctx); err != nil {
		return answer, err
	}
	defer c.unlock()
	env := e.environment(ctx)
	next, warnings, err := normal.Update(c.Record(), req, &env, version)
	if err != nil {
		return answer, err
	}
	answer.Warnings = append([]string{}, warnings...)
	if agent, err := e.RunningAgent(c.id); err == nil {
		w, err := e.specWorld(next)
		if err != nil {
			return answer, err
		}
		spec, err := oci.Spec(next, w)
		if err != nil {
			return answer, err
		}
		raw, err := json.Marshal(spec.Linux.Resources)
		if err != nil {
			return answer, fmt.Errorf("encode resources: %w", err)
		}
		if _, err := agent.Update(ctx, &guestv1.UpdateRequest{ContainerId: c.id, Resources: raw}); err != nil {
			return answer, fmt.Errorf("Cannot update container %s: %w", c.id, sandbox.Native(err)) //nolint:staticcheck // Docker's sentence.
		}
	}
	rec, err := e.change(c, func(n *record.Container) error {
		n.HostConfig = next.HostConfig
		return nil
	})
	if err != nil {
		return answer, err
	}
	e.publish(events.ActionUpdate, rec, nil)
	return answer, nil
}
