package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/guest/rootfs"
	"github.com/arca-engine/arca/guest/sockets"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/internal/version"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Hello implements the method of proto/guest/v1.
func (a *Agent) Hello(_ context.Context, req *guestv1.HelloRequest) (*guestv1.HelloResponse, error) {
	if err := a.world.SetClock(time.Unix(0, req.HostUnixNano)); err != nil {
		return nil, err
	}
	res := &guestv1.HelloResponse{Version: version.Version, BootId: a.world.BootID, Mounted: a.roots.List()}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.containers {
		for _, p := range c.processes {
			res.Processes = append(res.Processes, &guestv1.ProcessState{ContainerId: p.container, ExecId: p.exec, Running: p.running(), Pid: int32(p.host), Paused: c.paused})
		}
	}
	return res, nil
}

// Mount implements the method of proto/guest/v1.
func (a *Agent) Mount(ctx context.Context, req *guestv1.MountRequest) (*guestv1.MountResponse, error) {
	if err := a.turns.Lock(ctx, req.ContainerId); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(req.ContainerId)
	_, err := a.mount(req)
	return &guestv1.MountResponse{}, err
}

// mount builds the root of a container and opens its sockets.
func (a *Agent) mount(req *guestv1.MountRequest) (*rootfs.Root, error) {
	if err := failpoint.Hit("guest/mount"); err != nil {
		return nil, err
	}
	root, err := a.roots.Mount(req)
	if err != nil {
		return nil, err
	}
	var list []sockets.Socket
	for _, m := range root.Mounts {
		if m.Kind == guestv1.Mount_SOCKET {
			list = append(list, sockets.Socket{ID: m.SocketID, Path: m.Source, UID: m.SocketUID, GID: m.SocketGID, Mode: m.SocketMode})
		}
	}
	if err := a.sockets.Open(root.ID, list); err != nil {
		return nil, errors.Join(err, a.roots.Unmount(root.ID))
	}
	return root, nil
}

// announce tells the host that a process has connected to a socket of its container.
func (a *Agent) announce(container, socket string, token []byte) {
	a.events.connected(&guestv1.SocketConnection{ContainerId: container, SocketId: socket, Token: token})
}

// Unmount implements the method of proto/guest/v1.
func (a *Agent) Unmount(ctx context.Context, req *guestv1.UnmountRequest) (*guestv1.UnmountResponse, error) {
	if err := failpoint.Hit("guest/unmount"); err != nil {
		return nil, err
	}
	if err := a.turns.Lock(ctx, req.ContainerId); err != nil {
		return nil, err
	}
	defer a.turns.Unlock(req.ContainerId)
	if c, err := a.lookup(req.ContainerId); err == nil {
		if p, _ := a.process(c.id, ""); p != nil && p.running() {
			return nil, fmt.Errorf("container %.12s is running: %w", c.id, errdefs.ErrFailedPrecondition)
		}
		select {
		case <-c.gone:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	a.sockets.Close(req.ContainerId)
	return &guestv1.UnmountResponse{}, a.roots.Unmount(req.ContainerId)
}

// Events implements the method of proto/guest/v1.
func (a *Agent) Events(_ *guestv1.EventsRequest, stream grpc.ServerStreamingServer[guestv1.Event]) error {
	return a.events.serve(stream.Context(), stream)
}

// Acknowledge implements the method of proto/guest/v1.
func (a *Agent) Acknowledge(ctx context.Context, req *guestv1.AcknowledgeRequest) (*guestv1.AcknowledgeResponse, error) {
	if err := failpoint.Hit("guest/acknowledge"); err != nil {
		return nil, err
	}
	p, err := a.process(req.ContainerId, req.ExecId)
	if errdefs.IsNotFound(err) {
		return &guestv1.AcknowledgeResponse{}, nil
	} else if err != nil {
		return nil, err
	}
	if p.running() {
		return nil, fmt.Errorf("the process is running: %w", errdefs.ErrFailedPrecondition)
	}
	select {
	case <-p.drained:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a.events.forget(processKey{req.ContainerId, req.ExecId})
	a.mu.Lock()
	if c := a.containers[p.container]; c != nil && c.processes[p.exec] == p {
		delete(c.processes, p.exec)
		if len(c.processes) == 0 && a.buried(c) {
			delete(a.containers, c.id)
		}
	}
	a.mu.Unlock()
	return &guestv1.AcknowledgeResponse{}, p.streams.Spool.Close()
}

// Signal implements the method of proto/guest/v1.
func (a *Agent) Signal(ctx context.Context, req *guestv1.SignalRequest) (*guestv1.SignalResponse, error) {
	if req.Signal == 0 || req.Signal > 64 {
		return nil, fmt.Errorf("signal %d: %w", req.Signal, errdefs.ErrInvalidArgument)
	}
	p, err := a.process(req.ContainerId, req.ExecId)
	if err != nil {
		return nil, err
	}
	if req.All && req.ExecId == "" {
		if !p.running() {
			return nil, fmt.Errorf("container %.12s is not running: %w", req.ContainerId, errdefs.ErrNotFound)
		}
		return &guestv1.SignalResponse{}, a.signalAll(p, unix.Signal(req.Signal))
	}
	return &guestv1.SignalResponse{}, p.signal(unix.Signal(req.Signal))
}

// Resize implements the method of proto/guest/v1.
func (a *Agent) Resize(_ context.Context, req *guestv1.ResizeRequest) (*guestv1.ResizeResponse, error) {
	p, err := a.process(req.ContainerId, req.ExecId)
	if err != nil {
		return nil, err
	}
	return &guestv1.ResizeResponse{}, p.streams.Resize(uint16(req.Rows), uint16(req.Columns))
}
