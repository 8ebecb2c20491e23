package container

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// killedExit is the code of a container whose sandbox ended under it: as if by SIGKILL.
const killedExit = 137

// run is one run of a container's first process, from its start to its exit. It is the sandbox's handler.
type run struct {
	e *Engine
	c *Container

	// What follows is set before the run becomes the container's, and before begun is closed.
	box        *sandbox.Box
	log        *logs.Log
	membership *desired.Membership // what it has of networks; nil: nothing of its own.
	joined     bool                // it has to leave networks.
	sockets    map[string]string   // the host's paths of the bound sockets, by their place in the container.

	mu   sync.Mutex
	exit *guestv1.Exit // the first report counts.
	oom  bool

	loans loans // of its sandbox, to operations on the container's files.

	joins atomic.Int32 // connections to bound sockets.

	stopPump context.CancelCauseFunc // set by begin.

	ended   chan struct{} // closed when exit is set.
	begun   chan struct{} // closed when the start was committed, or the run was adopted.
	pumped  chan struct{} // closed when all output was written that there will be.
	quiet   chan struct{} // closed when the pump has ended, or will never begin.
	stopped chan struct{} // closed when the exit was committed and its sandbox released, or the start was given up.
}

func newRun(e *Engine, c *Container) *run {
	return &run{
		e: e, c: c,
		ended: make(chan struct{}), begun: make(chan struct{}), pumped: make(chan struct{}),
		quiet: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// report notes how the run ended, once: an exit is told again after a reconnection.
func (r *run) report(x *guestv1.Exit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exit != nil {
		return false
	}
	r.exit = x
	close(r.ended)
	return true
}

// Exited implements sandbox.Handler.
func (r *run) Exited(x *guestv1.Exit) {
	if x.ExecId != "" {
		r.e.execs.Exited(r.c.id, x.ExecId, x)
		return
	}
	r.report(x)
}

// Died implements sandbox.Handler.
func (r *run) Died(reason string) {
	if r.report(&guestv1.Exit{ContainerId: r.c.id, Code: killedExit, ExitedUnixNano: time.Now().UnixNano()}) {
		r.e.log.Warn("sandbox ended under its container", "container", r.c.id, "reason", reason)
	}
}

// OutOfMemory implements sandbox.Handler.
func (r *run) OutOfMemory() {
	r.mu.Lock()
	r.oom = true
	r.mu.Unlock()
	r.e.publish(events.ActionOOM, r.c.Record(), nil)
}

// maxJoins bounds the connections to bound sockets of one run.
const maxJoins = 4096

// SocketConnected implements sandbox.Handler.
func (r *run) SocketConnected(sc *guestv1.SocketConnection) {
	if r.joins.Add(1) > maxJoins { // An honest agent keeps fewer waiting.
		r.joins.Add(-1)
		return
	}
	if !r.e.goRun(func(ctx context.Context) {
		defer r.joins.Add(-1)
		r.joinSocket(ctx, sc)
	}) {
		r.joins.Add(-1)
	}
}

// joinSocket joins a connection to a bound socket with the host's socket.
func (r *run) joinSocket(ctx context.Context, sc *guestv1.SocketConnection) {
	select {
	case <-r.begun:
	case <-r.stopped:
		return
	case <-ctx.Done():
		return
	}
	path, ok := r.sockets[sc.SocketId]
	if !ok {
		r.e.log.Warn("connection to a socket that was not bound", "container", r.c.id, "socket", sc.SocketId)
		return
	}
	err := r.e.socketJoiner.Join(ctx, r.c.id, path, func(ctx context.Context) (net.Conn, error) {
		return r.dialStream(ctx, &guestv1.StreamRequest{Token: sc.Token, Request: &guestv1.StreamRequest_Socket{
			Socket: &guestv1.SocketStream{ContainerId: r.c.id},
		}})
	})
	if err != nil {
		r.e.log.Warn("join bound socket", "container", r.c.id, "path", path, "error", err)
	}
}

// dialStream opens a raw stream to the agent of the container's run.
func (r *run) dialStream(ctx context.Context, req *guestv1.StreamRequest) (net.Conn, error) {
	conn, _, err := r.box.Agent().OpenStream(ctx, req)
	return conn, err
}

// begin makes r the container's run and starts its goroutines: its process lives in box.
func (r *run) begin() {
	r.c.mu.Lock()
	r.c.run = r
	r.c.mu.Unlock()
	r.c.poke() // A client may have attached to a run that was not taken up yet.
	ctx, cancel := context.WithCancelCause(r.e.ctx)
	r.stopPump = cancel
	pumping := r.e.goRun(func(context.Context) {
		defer close(r.quiet)
		defer cancel(nil)
		r.pump(ctx)
	})
	if !pumping {
		close(r.quiet)
		cancel(nil)
	}
	r.e.goRun(r.supervise)
}

// end makes room for the next run.
func (r *run) end() {
	r.c.mu.Lock()
	if r.c.run == r {
		r.c.run = nil
	}
	r.c.mu.Unlock()
	close(r.stopped)
	r.c.poke()
}
