package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/guest/stdio"
	"github.com/arca-engine/arca/internal/failpoint"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Exec implements the method of proto/guest/v1.
func (a *Agent) Exec(ctx context.Context, req *guestv1.ExecRequest) (*guestv1.ExecResponse, error) {
	if req.ExecId == "" || len(req.ExecId) > 128 {
		return nil, fmt.Errorf("exec ID %q: %w", req.ExecId, errdefs.ErrInvalidArgument)
	}
	if err := failpoint.Hit("guest/exec"); err != nil {
		return nil, err
	}
	turn := req.ContainerId + "/" + req.ExecId
	if err := a.turns.Lock(ctx, turn); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(turn)
	if p, err := a.process(req.ContainerId, req.ExecId); err == nil {
		return &guestv1.ExecResponse{Pid: int32(p.host)}, nil
	}
	c, err := a.lookup(req.ContainerId)
	if err != nil {
		return nil, err
	}
	first, err := a.process(req.ContainerId, "")
	if err != nil || !first.running() {
		return nil, fmt.Errorf("container %s is not running: %w", req.ContainerId, errdefs.ErrFailedPrecondition)
	}
	var spec specs.Process
	if err := json.Unmarshal(req.Process, &spec); err != nil {
		return nil, fmt.Errorf("decode process: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if err := setUser(&spec, c.root, req.User, req.Groups); err != nil {
		return nil, err
	}
	spec.Terminal = req.Terminal
	if req.Terminal && req.ConsoleRows > 0 && req.ConsoleColumns > 0 {
		spec.ConsoleSize = &specs.Box{Height: uint(req.ConsoleRows), Width: uint(req.ConsoleColumns)}
	}
	streams, err := stdio.Open(stdio.Options{Terminal: req.Terminal, Stdin: req.Stdin, Discard: req.DiscardOutput,
		Rows: uint16(req.ConsoleRows), Columns: uint16(req.ConsoleColumns), Dir: c.root.Area})
	if err != nil {
		return nil, err
	}
	pid, exit, err := a.runtime.Exec(ctx, c.id, spec, streams)
	if err != nil {
		return nil, errors.Join(err, streams.Abandon())
	}
	awaitProgram(ctx, pid)
	started := streams.Started()
	a.mu.Lock()
	p := a.watchLocked(c, req.ExecId, pid, exit, streams)
	a.mu.Unlock()
	if started != nil {
		return nil, errors.Join(started, p.signal(9))
	}
	return &guestv1.ExecResponse{Pid: int32(p.host)}, nil
}

// Pause implements the method of proto/guest/v1.
func (a *Agent) Pause(ctx context.Context, req *guestv1.PauseRequest) (*guestv1.PauseResponse, error) {
	return &guestv1.PauseResponse{}, a.freeze(ctx, req.ContainerId, true)
}

// Resume implements the method of proto/guest/v1.
func (a *Agent) Resume(ctx context.Context, req *guestv1.ResumeRequest) (*guestv1.ResumeResponse, error) {
	return &guestv1.ResumeResponse{}, a.freeze(ctx, req.ContainerId, false)
}

func (a *Agent) freeze(ctx context.Context, id string, pause bool) error {
	if err := a.turns.Lock(ctx, id); err != nil {
		return err
	}
	defer a.turns.Unlock(id)
	c, err := a.lookup(id)
	if err != nil {
		return err
	}
	a.mu.Lock()
	same := c.paused == pause
	a.mu.Unlock()
	if same {
		return nil
	}
	act := a.runtime.Resume
	if pause {
		act = a.runtime.Pause
	}
	if err := act(ctx, id); err != nil {
		return err
	}
	a.mu.Lock()
	c.paused = pause
	a.mu.Unlock()
	return nil
}

// Update implements the method of proto/guest/v1.
func (a *Agent) Update(ctx context.Context, req *guestv1.UpdateRequest) (*guestv1.UpdateResponse, error) {
	var res specs.LinuxResources
	if err := json.Unmarshal(req.Resources, &res); err != nil {
		return nil, fmt.Errorf("decode resources: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if err := a.turns.Lock(ctx, req.ContainerId); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(req.ContainerId)
	if _, err := a.process(req.ContainerId, ""); err != nil {
		return nil, err
	}
	return &guestv1.UpdateResponse{}, a.runtime.Update(ctx, req.ContainerId, &res)
}
