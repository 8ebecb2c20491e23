package agent

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/guest/initproc"
	"github.com/arca-engine/arca/guest/netconf"
	"github.com/arca-engine/arca/guest/reaper"
	"github.com/arca-engine/arca/guest/rootfs"
	"github.com/arca-engine/arca/guest/runtime"
	"github.com/arca-engine/arca/guest/sockets"
	"github.com/arca-engine/arca/internal/guestwire"
	"github.com/arca-engine/arca/internal/keylock"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Agent serves one sandbox.
type Agent struct {
	guestv1.UnimplementedAgentServer

	world   *initproc.World
	roots   *rootfs.Builder
	runtime *runtime.Runtime
	events  *journal
	results *results
	sockets *sockets.Table
	home    *netconf.Home
	turns   keylock.Map // by container ID.
	tasks   sync.WaitGroup
	ctx     context.Context // of the agent's life: ends at shutdown. Background work alone uses it.
	stop    context.CancelCauseFunc

	mu         sync.Mutex
	containers map[string]*container
}

// New makes an agent.
func New(ctx context.Context, w *initproc.World, r *reaper.Reaper) (*Agent, error) {
	roots, err := rootfs.New(initproc.Containers, "/l")
	if err != nil {
		return nil, err
	}
	home, err := netconf.NewHome(w.OwnNetwork)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		home:       home,
		world:      w,
		roots:      roots,
		runtime:    runtime.New(w.Runc, initproc.Run+"/runc", r),
		events:     newJournal(),
		results:    newResults(),
		containers: map[string]*container{},
	}
	a.sockets = sockets.NewTable(a.announce, a.events.settled)
	a.ctx, a.stop = context.WithCancelCause(ctx)
	return a, nil
}

// Serve serves the ports of the control channel until the agent is shut down.
func (a *Agent) Serve(l initproc.Listener, ready func(context.Context) error) error {
	control, streams := l.Port(guestwire.PortControl), l.Port(guestwire.PortStream)
	g := grpc.NewServer(grpc.UnaryInterceptor(translateUnary), grpc.StreamInterceptor(translateStream),
		grpc.MaxRecvMsgSize(64<<20), grpc.WriteBufferSize(32<<10), grpc.ReadBufferSize(32<<10))
	guestv1.RegisterAgentServer(g, a)
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				errs <- err
				a.stop(nil)
			}
		})
	}
	run(func() error { return l.Serve(a.ctx) })
	run(func() error { return g.Serve(control) })
	run(func() error { a.serveStreams(streams); return nil })
	run(func() error { return ready(a.ctx) })
	<-a.ctx.Done()
	_ = streams.Close()
	g.Stop()
	wg.Wait()
	a.tasks.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (a *Agent) serveStreams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		a.tasks.Go(func() { a.serveStream(a.ctx, c) })
	}
}

// lookup returns a container that was started.
func (a *Agent) lookup(id string) (*container, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.containers[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("container %.12s was not started: %w", id, errdefs.ErrNotFound)
}

// process returns a process of a container; the first one when exec is empty.
func (a *Agent) process(id, exec string) (*process, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.containers[id]
	if c == nil || c.processes[exec] == nil {
		return nil, fmt.Errorf("container %.12s has no process %.12q: %w", id, exec, errdefs.ErrNotFound)
	}
	return c.processes[exec], nil
}
