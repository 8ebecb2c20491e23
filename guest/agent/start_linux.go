package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/guest/rootfs"
	"github.com/arca-engine/arca/guest/stdio"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/internal/phase"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Start implements the method of proto/guest/v1.
func (a *Agent) Start(ctx context.Context, req *guestv1.StartRequest) (*guestv1.StartResponse, error) {
	if req.Mount == nil {
		return nil, fmt.Errorf("start: no mount: %w", errdefs.ErrInvalidArgument)
	}
	if err := failpoint.Hit("guest/start"); err != nil {
		return nil, err
	}
	id := req.Mount.ContainerId
	if err := a.turns.Lock(ctx, id); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(id)
	a.mu.Lock()
	old := a.containers[id]
	a.mu.Unlock()
	if old != nil {
		if p, _ := a.process(id, ""); p != nil && p.running() {
			return nil, fmt.Errorf("container %.12s is running: %w", id, errdefs.ErrAlreadyExists)
		} else if p != nil {
			return nil, fmt.Errorf("the last exit of container %.12s was not acknowledged: %w", id, errdefs.ErrFailedPrecondition)
		}
		select {
		case <-old.gone:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	trace := phase.Begin()
	root, err := a.mount(req.Mount)
	if err != nil {
		return nil, err
	}
	trace.End("root")
	res, err := a.start(ctx, req, root, trace)
	if err != nil {
		return nil, err
	}
	for _, p := range trace.Phases() {
		res.Phases = append(res.Phases, &guestv1.Phase{Name: p.Name, Nanoseconds: int64(p.Took)})
	}
	return res, nil
}

func (a *Agent) start(ctx context.Context, req *guestv1.StartRequest, root *rootfs.Root, trace *phase.Trace) (_ *guestv1.StartResponse, err error) {
	c := &container{id: root.ID, root: root, processes: map[string]*process{}, gone: make(chan struct{})}
	defer func() {
		if err != nil && c.network != nil {
			err = errors.Join(err, c.network.undo())
		}
	}()
	spec, err := a.spec(ctx, req, root, c)
	if err != nil {
		return nil, err
	}
	if err := writeBundle(root.Dir, spec); err != nil {
		return nil, err
	}
	streams, err := stdio.Open(stdio.Options{Terminal: req.Terminal, Stdin: req.Stdin, Discard: req.DiscardOutput,
		Rows: uint16(req.ConsoleRows), Columns: uint16(req.ConsoleColumns), Dir: root.Area, Limit: req.OutputLimit})
	if err != nil {
		return nil, err
	}
	trace.End("bundle")
	if c.network != nil {
		trace.Add("network", c.netTime)
	}
	ready, err := newReadiness(req.Init && c.privatePID)
	if err != nil {
		return nil, errors.Join(err, streams.Abandon())
	}
	defer func() { _ = ready.close() }()
	pid, exit, err := a.runtime.Run(ctx, c.id, root.Dir, streams, ready.files())
	if err != nil {
		return nil, errors.Join(err, streams.Abandon())
	}
	trace.End("runc")
	if err := streams.Started(); err != nil {
		return nil, errors.Join(err, a.runtime.Delete(context.WithoutCancel(ctx), c.id), streams.Abandon())
	}
	ready.wait(ctx, pid)
	trace.End("ready")
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.containers[c.id]; old != nil { // The outputs of the earlier run that nobody has taken yet stay readable.
		for name, p := range old.processes {
			if name != "" {
				c.processes[name] = p
			}
		}
	}
	a.containers[c.id] = c
	c.stopOOM = a.watchOOM(c)
	p := a.watchLocked(c, "", pid, exit, streams)
	trace.End("watch")
	return &guestv1.StartResponse{Pid: int32(p.host), StartedUnixNano: p.started.UnixNano(), Warnings: c.warnings}, nil
}

func writeBundle(dir string, spec *ociSpec) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o600); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}
