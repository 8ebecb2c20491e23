package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/guest/ps"
	"github.com/arca-engine/arca/guest/runtime"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// first returns the first process of a container that runs.
func (a *Agent) first(id string) (*process, error) {
	p, err := a.process(id, "")
	if err != nil {
		return nil, err
	}
	if !p.running() {
		return nil, fmt.Errorf("container %s is not running: %w", id, errdefs.ErrFailedPrecondition)
	}
	return p, nil
}

// Processes implements the method of proto/guest/v1.
func (a *Agent) Processes(_ context.Context, req *guestv1.ProcessesRequest) (*guestv1.ProcessesResponse, error) {
	if _, err := a.first(req.ContainerId); err != nil {
		return nil, err
	}
	titles, rows, err := ps.List("/proc", runtime.PIDs(cgroupPath(req.ContainerId)), req.PsArgs, a.world.Numbers.Of)
	if err != nil {
		return nil, err
	}
	res := &guestv1.ProcessesResponse{Titles: titles}
	for _, r := range rows {
		res.Rows = append(res.Rows, &guestv1.ProcessesResponse_Row{Fields: r})
	}
	return res, nil
}

// Stats implements the method of proto/guest/v1.
func (a *Agent) Stats(_ context.Context, req *guestv1.StatsRequest) (*guestv1.StatsResponse, error) {
	p, err := a.first(req.ContainerId)
	if err != nil {
		return nil, err
	}
	s := a.runtime.Stats(cgroupPath(req.ContainerId))
	now := time.Now()
	system, online := runtime.SystemCPU()
	s.Read, s.Networks = now, runtime.Networks(p.pid)
	s.CPUStats.SystemUsage, s.CPUStats.OnlineCPUs = system, online
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode stats: %w", err)
	}
	return &guestv1.StatsResponse{ReadUnixNano: now.UnixNano(), Stats: b, SystemCpuNanoseconds: system, OnlineCpus: online}, nil
}
