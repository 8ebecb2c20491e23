package sandboxtest

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/arca-engine/arca/internal/descriptor"
	"github.com/arca-engine/arca/internal/peercred"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Helper is a fake vmhelper. Make one with [New]; it ends with the test.
type Helper struct {
	vmhelperv1.UnimplementedVMHelperServer
	t   testing.TB
	dir string

	program Program
	// Switch is its network side.
	Switch *Switch
	// Connect takes connections to a socket in a container; nil: there is none. It is set before a box runs.
	Connect func(container, path string, c net.Conn) error

	mu       sync.Mutex
	boots    int
	boxes    map[string]*Box
	uppers   map[string]bool
	volumes  map[string]bool
	calls    map[string]int
	faults   map[string]*Fault
	watchers map[chan *vmhelperv1.SandboxEvent]struct{}
	serving  *serving
	tokens   *descriptor.Server
}

type serving struct {
	server *grpc.Server
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// New returns a helper that serves, and whose processes run program; nil: [Script].
func New(t testing.TB, program Program) *Helper {
	t.Helper()
	if program == nil {
		program = Script
	}
	dir, err := os.MkdirTemp("", "helper") //nolint:usetesting // The test's own directory may be too long for a socket.
	if err != nil {
		t.Fatal(err)
	}
	h := &Helper{
		t: t, dir: dir, program: program, boxes: map[string]*Box{}, uppers: map[string]bool{}, volumes: map[string]bool{},
		calls: map[string]int{}, faults: map[string]*Fault{}, watchers: map[chan *vmhelperv1.SandboxEvent]struct{}{},
	}
	h.Switch = newSwitch(h)
	t.Cleanup(func() {
		h.Leave()
		for _, id := range h.Running() {
			h.Kill(id)
		}
		_ = os.RemoveAll(dir)
	})
	h.Return()
	return h
}

// Sockets are the paths of the gRPC socket and of the descriptor socket.
func (h *Helper) Sockets() (api, descriptors string) {
	return filepath.Join(h.dir, "api.sock"), filepath.Join(h.dir, "descriptors.sock")
}

// Return lets the helper serve, after Leave.
func (h *Helper) Return() {
	api, descriptors := h.Sockets()
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &serving{cancel: cancel, server: grpc.NewServer(
		grpc.UnaryInterceptor(h.unary), grpc.StreamInterceptor(h.stream), grpc.WaitForHandlers(true),
	)}
	vmhelperv1.RegisterVMHelperServer(s.server, h)
	vmhelperv1.RegisterNetworkServer(s.server, h.Switch)
	tokens := descriptor.NewServer()
	l, dl := h.listen(api), h.listen(descriptors)
	s.wg.Go(func() { _ = s.server.Serve(l) }) // It ends with Stop.
	s.wg.Go(func() {
		if err := tokens.Serve(ctx, dl, func(peercred.Peer) error { return nil }); err != nil {
			h.t.Error(err)
		}
	})
	h.mu.Lock()
	h.serving, h.tokens = s, tokens
	h.mu.Unlock()
}

func (h *Helper) listen(path string) net.Listener {
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

// Leave ends the helper as the death of its process does: its sandboxes live on.
func (h *Helper) Leave() {
	h.mu.Lock()
	s := h.serving
	h.serving = nil
	h.mu.Unlock()
	if s == nil {
		return
	}
	s.cancel(nil)
	s.server.Stop()
	s.wg.Wait()
	h.Switch.Forget()
}

// Running lists the sandboxes.
func (h *Helper) Running() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.boxes))
}

// Uppers lists the writable layers.
func (h *Helper) Uppers() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.uppers))
}

// Box returns a running sandbox, or nil.
func (h *Helper) Box(id string) *Box {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.boxes[id]
}

// Kill ends a sandbox as the death of its agent does.
func (h *Helper) Kill(id string) { h.end(h.Box(id), "its agent was killed") }

func (h *Helper) end(b *Box, reason string) {
	if b == nil {
		return
	}
	b.end()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.boxes[b.id] != b {
		return
	}
	delete(h.boxes, b.id)
	for w := range h.watchers {
		w <- &vmhelperv1.SandboxEvent{Kind: vmhelperv1.SandboxEvent_EXITED, Sandbox: b.info(), Reason: reason}
	}
}

func (h *Helper) bootID() string {
	h.boots++
	return "boot-" + strconv.Itoa(h.boots)
}

// Boot boots an empty sandbox.
func (h *Helper) Boot(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.boxes[id] = newBox(h, id, h.bootID(), nil)
}
