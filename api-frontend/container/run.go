package container

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// killedExit is the code of a container whose sandbox ended under it: as if by SIGKILL.
const killedExit = 137

// drainLimit bounds the wait for the rest of a dead sandbox's output, which lies in a socket's queue.
const drainLimit = 5 * time.Second

// run is one run of a container's first process, from its start to its exit. It is the sandbox's handler.
type run struct {
	e   *Engine
	c   *Container
	box *sandbox.Box
	log *logs.Log
	// sockets are the host's paths of the bound sockets, by their place in the container.
	sockets map[string]string

	exit chan *guestv1.Exit // of capacity 1: the first report counts.
	died chan string        // of capacity 1.

	oomMu sync.Mutex
	oom   bool

	begun   chan struct{} // closed when the start was committed, or the run was adopted.
	pumped  chan struct{} // closed when all output was written.
	stopped chan struct{} // closed when the exit was committed and its sandbox released, or the start was given up.
}

func newRun(e *Engine, c *Container) *run {
	return &run{
		e: e, c: c,
		exit: make(chan *guestv1.Exit, 1), died: make(chan string, 1),
		begun: make(chan struct{}), pumped: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// Exited implements sandbox.Handler.
func (r *run) Exited(x *guestv1.Exit) {
	if x.ExecId != "" {
		r.e.execs.Exited(r.c.id, x.ExecId, x)
		return
	}
	select {
	case r.exit <- x:
	default: // Told again after a reconnection.
	}
}

// OutOfMemory implements sandbox.Handler.
func (r *run) OutOfMemory() {
	r.oomMu.Lock()
	r.oom = true
	r.oomMu.Unlock()
	r.e.publish(events.ActionOOM, r.c.Record(), nil)
}

// SocketConnected implements sandbox.Handler.
func (r *run) SocketConnected(sc *guestv1.SocketConnection) {
	r.e.goRun(func(ctx context.Context) { r.joinSocket(ctx, sc) })
}

// joinSocket joins a connection to a bound socket with the host's socket.
func (r *run) joinSocket(ctx context.Context, sc *guestv1.SocketConnection) {
	path, ok := r.sockets[sc.SocketId]
	if !ok {
		r.e.log.Warn("connection to a socket that was not bound", "container", r.c.id, "socket", sc.SocketId)
		return
	}
	select {
	case <-r.begun:
	case <-r.stopped:
		return
	case <-ctx.Done():
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

// Died implements sandbox.Handler.
func (r *run) Died(reason string) {
	select {
	case r.died <- reason:
	default:
	}
}

// begin starts the goroutines of a run whose process lives in box.
func (r *run) begin(box *sandbox.Box, log *logs.Log) {
	r.box, r.log = box, log
	r.e.goRun(func(ctx context.Context) {
		defer close(r.pumped)
		r.pump(ctx)
	})
	r.e.goRun(r.supervise)
}

// pump takes the output until its end, redialling where a connection broke and the sandbox did not.
func (r *run) pump(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.pumpOnce(ctx)
		if err == nil {
			return
		}
		select {
		case <-r.box.Done():
			r.e.log.Debug("output ended with its sandbox", "container", r.c.id, "error", err)
			return
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond): // The agent lives: nothing signals when it answers again.
			r.e.log.Debug("output connection lost, reconnecting", "container", r.c.id, "error", err)
		}
	}
}

func (r *run) pumpOnce(ctx context.Context) error {
	_, stdout, stderr := r.log.Offsets()
	conn, _, err := r.box.Agent().OpenStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{
		Output: &guestv1.OutputStream{ContainerId: r.c.id, StdoutOffset: stdout, StderrOffset: stderr},
	}})
	if err != nil {
		if errdefs.IsNotFound(sandbox.Native(err)) {
			return nil // Acknowledged before: all of it was written.
		}
		return err
	}
	defer conn.Close()
	// What a dead agent has sent is still in the socket's queue: read it to its end, but not for ever.
	stop := context.AfterFunc(contextOf(r.box.Done()), func() { _ = conn.SetReadDeadline(time.Now().Add(drainLimit)) })
	defer stop()
	return logs.Pump(ctx, conn, r.log)
}

// supervise waits for the end of the run and does what follows it.
func (r *run) supervise(ctx context.Context) {
	var x *guestv1.Exit
	select {
	case x = <-r.exit:
	case reason := <-r.died:
		x = r.afterDeath(reason)
	case <-r.stopped:
		return // The start was given up.
	case <-ctx.Done():
		return // The frontend ends; the container runs on.
	}
	select {
	case <-r.pumped:
	case <-ctx.Done():
		return
	}
	select {
	case <-r.begun:
	case <-r.stopped:
		return
	case <-ctx.Done():
		return
	}
	r.finish(ctx, x)
}

// afterDeath makes up the exit of a container whose sandbox has ended, unless the exit itself came just before.
func (r *run) afterDeath(reason string) *guestv1.Exit {
	select {
	case x := <-r.exit:
		return x
	default:
	}
	r.e.log.Warn("sandbox ended under its container", "container", r.c.id, "reason", reason)
	return &guestv1.Exit{ContainerId: r.c.id, Code: killedExit, ExitedUnixNano: time.Now().UnixNano()}
}

// finish commits the exit, tells everybody, releases the sandbox and lets the restart policy act.
func (r *run) finish(ctx context.Context, x *guestv1.Exit) {
	e, c := r.e, r.c
	e.health.Stop(c.id)
	code := int(x.Code & 0xff)
	at := time.Unix(0, x.ExitedUnixNano)
	r.oomMu.Lock()
	oom := r.oom || x.OomKilled
	r.oomMu.Unlock()

	c.mu.Lock()
	started := c.Record().State.StartedAt
	s := c.Record().State
	restart, delay := c.backoff.next(c.Record().HostConfig.RestartPolicy, code, s.RestartCount, s.HasBeenManuallyStopped, at.Sub(started))
	c.mu.Unlock()
	if e.stopping(ctx) {
		restart = false
	}
	rec, err := e.change(c, func(n *record.Container) error {
		if restart {
			return n.State.ExitAndRestart(code, oom, at)
		}
		return n.State.Exit(code, oom, at)
	})
	if err != nil {
		// The agent keeps the exit: it is told again to the next frontend.
		e.log.Error("commit exit", "container", c.id, "code", code, "error", err)
		return
	}
	if err := r.log.EndRun(); err != nil {
		e.log.Error("close log", "container", c.id, "error", err)
	}
	e.publish(events.ActionDie, rec, map[string]string{
		"exitCode": strconv.Itoa(code), "execDuration": strconv.Itoa(int(at.Sub(started).Seconds())),
	})
	c.exited(ExitStatus{Code: code}, restart)
	e.execs.ContainerEnded(c.id)
	r.release(ctx)
	r.end()
	switch {
	case restart:
		e.restartAfter(ctx, c, delay)
	case rec.HostConfig.AutoRemove && !e.stopping(ctx) && !c.kept():
		if err := e.remove(ctx, c, RemoveOptions{Volumes: true}); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			e.log.Error("remove container after its exit", "container", c.id, "error", err)
		}
	}
}

// kept tells whether a restart keeps the container from being removed by its exit.
func (c *Container) kept() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keep
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

// release acknowledges the exit and lets go of the sandbox.
func (r *run) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if r.box.Err() == nil {
		_, err := r.box.Agent().Acknowledge(ctx, &guestv1.AcknowledgeRequest{ContainerId: r.c.id})
		if err != nil && !errors.Is(r.box.Err(), sandbox.ErrDead) {
			r.e.log.Warn("acknowledge exit", "container", r.c.id, "error", err)
		}
		r.e.unmountJoined(ctx, r.c, r.box)
	}
	if err := r.e.sandboxes.Release(ctx, r.box, r.c.id); err != nil {
		r.e.log.Error("release sandbox", "container", r.c.id, "error", err)
	}
	for _, name := range volumeNames(r.c.Record()) {
		r.e.volumes.Unmounted(name, r.c.id)
	}
}

// contextOf returns a context that ends with done.
func contextOf(done <-chan struct{}) context.Context { return doneContext{context.Background(), done} }

type doneContext struct {
	context.Context
	done <-chan struct{}
}

func (d doneContext) Done() <-chan struct{} { return d.done }
func (d doneContext) Err() error {
	select {
	case <-d.done:
		return context.Canceled
	default:
		return nil
	}
}

// dialStream opens a raw stream to the agent of the container's run.
func (r *run) dialStream(ctx context.Context, req *guestv1.StreamRequest) (net.Conn, error) {
	conn, _, err := r.box.Agent().OpenStream(ctx, req)
	return conn, err
}
