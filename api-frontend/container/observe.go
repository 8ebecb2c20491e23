package container

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Top lists the processes of a running container as ps(1) with these arguments would.
func (e *Engine) Top(ctx context.Context, ref, psArgs string) (container.TopResponse, error) {
	var answer container.TopResponse
	c, err := e.Get(ref)
	if err != nil {
		return answer, err
	}
	if c.Record().State.Status == record.Restarting {
		return answer, conflict("Container %s is restarting, wait until the container is running", c.id)
	}
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return answer, err
	}
	resp, err := agent.Processes(ctx, &guestv1.ProcessesRequest{ContainerId: c.id, PsArgs: strings.Fields(psArgs)})
	if err != nil {
		return answer, sandbox.Native(err)
	}
	answer.Titles = resp.Titles
	for _, row := range resp.Rows {
		answer.Processes = append(answer.Processes, row.Fields)
	}
	e.publish(events.ActionTop, c.Record(), nil)
	return answer, nil
}

// Stats measures a container once. Of one that does not run it gives name and ID alone.
func (e *Engine) Stats(ctx context.Context, ref string) (container.StatsResponse, bool, error) {
	c, err := e.Get(ref)
	if err != nil {
		return container.StatsResponse{}, false, err
	}
	rec := c.Record()
	none := container.StatsResponse{ID: rec.ID, Name: "/" + rec.Name}
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return none, false, nil
	}
	resp, err := agent.Stats(ctx, &guestv1.StatsRequest{ContainerId: c.id})
	switch {
	case err == nil:
	case errdefs.IsNotFound(sandbox.Native(err)) || !c.Record().State.IsRunning():
		return none, false, nil
	default:
		return none, false, sandbox.Native(err)
	}
	var s container.StatsResponse
	if err := json.Unmarshal(resp.Stats, &s); err != nil {
		return none, false, fmt.Errorf("decode the agent's measurements: %w", err)
	}
	s.ID, s.Name, s.Read = none.ID, none.Name, time.Unix(0, resp.ReadUnixNano).UTC()
	s.Networks = e.networkStats(ctx, rec)
	s.CPUStats.SystemUsage, s.CPUStats.OnlineCPUs = resp.SystemCpuNanoseconds, resp.OnlineCpus
	return s, true, nil
}
