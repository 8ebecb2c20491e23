package exec

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc"

	"github.com/arca-engine/arca/api-frontend/container/record"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Agent is what execs need of the agent of a container's sandbox.
type Agent interface {
	Exec(ctx context.Context, in *guestv1.ExecRequest, opts ...grpc.CallOption) (*guestv1.ExecResponse, error)
	Signal(ctx context.Context, in *guestv1.SignalRequest, opts ...grpc.CallOption) (*guestv1.SignalResponse, error)
	Resize(ctx context.Context, in *guestv1.ResizeRequest, opts ...grpc.CallOption) (*guestv1.ResizeResponse, error)
	Acknowledge(ctx context.Context, in *guestv1.AcknowledgeRequest, opts ...grpc.CallOption) (*guestv1.AcknowledgeResponse, error)
	OpenStream(ctx context.Context, req *guestv1.StreamRequest) (net.Conn, *guestv1.StreamReply, error)
}

// Containers is what execs need of the engine.
type Containers interface {
	// Record finds a container by ID, name or prefix; Docker's error when there is none.
	Record(ref string) (*record.Container, error)
	// Agent is the agent of the sandbox in which a container runs now.
	Agent(id string) (Agent, error)
	// Process is a copy of the process of the container's OCI spec, with all rights when privileged. Its arguments,
	// environment, directory and terminal are set by the exec.
	Process(rec *record.Container, privileged bool) (*specs.Process, error)
	// Publish tells an event of a container.
	Publish(id string, action events.Action, extra map[string]string)
}

// Bounds of what is remembered: processes that have not ended, per container, and ended ones, in all.
const (
	maxLive  = 4096
	maxEnded = 10_000
)

// Service keeps the execs.
type Service struct {
	containers Containers
	log        hclog.Logger

	mu     sync.Mutex
	byID   map[string]*Exec
	live   map[string]map[string]*Exec // not ended, by container.
	ended  []*Exec                     // oldest first; some of them gone already.
	closed bool

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	strangers atomic.Int32 // exits of unknown processes that are being acknowledged.
}

var errClosed = errors.New("the engine is shutting down")

// New makes a service. Close ends it.
func New(c Containers, log hclog.Logger) *Service {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Service{
		containers: c, log: log, ctx: ctx, cancel: cancel,
		byID: map[string]*Exec{}, live: map[string]map[string]*Exec{},
	}
}

// Close ends the attachments and waits for every goroutine. The processes run on.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel(errClosed)
	s.wg.Wait()
}

// goRun runs f in a goroutine that Close waits for; false when the service is closed.
func (s *Service) goRun(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

func (s *Service) add(e *Exec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.live[e.container]
	if len(live) >= maxLive {
		return &sentence{"container " + e.container + " has too many exec instances that have not ended", errdefs.ErrResourceExhausted}
	}
	if live == nil {
		live = map[string]*Exec{}
		s.live[e.container] = live
	}
	live[e.id] = e
	s.byID[e.id] = e
	return nil
}

func (s *Service) find(id string) *Exec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// IDs lists the execs of a container that have not ended, for its inspection.
func (s *Service) IDs(containerID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.live[containerID] {
		ids = append(ids, id)
	}
	return ids
}

// noteEnded takes an exec from the live ones and keeps it for inspection, within bounds.
func (s *Service) noteEnded(e *Exec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLiveLocked(e)
	if _, ok := s.byID[e.id]; !ok {
		return
	}
	s.ended = append(s.ended, e)
	if len(s.ended) > maxEnded {
		delete(s.byID, s.ended[0].id)
		s.ended = append([]*Exec(nil), s.ended[len(s.ended)-maxEnded:]...)
	}
}

func (s *Service) dropLiveLocked(e *Exec) {
	live := s.live[e.container]
	delete(live, e.id)
	if len(live) == 0 {
		delete(s.live, e.container)
	}
}

// forget removes an exec that nobody will ask for.
func (s *Service) forget(e *Exec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLiveLocked(e)
	delete(s.byID, e.id)
}
