package health

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Containers is what health checks need of the engine.
type Containers interface {
	// Record finds a container; an error when it is gone.
	Record(ref string) (*record.Container, error)
	// SetHealth replaces what inspect shows. With durable it has to outlive the engine; else memory will do.
	SetHealth(id string, h *container.Health, durable bool) error
	// Publish tells an event of a container.
	Publish(id string, action events.Action, extra map[string]string)
}

// Prober executes commands in containers. The end of ctx kills the command, and Run returns when it has ended.
type Prober interface {
	Run(ctx context.Context, containerID string, cmd []string, out io.Writer, started func()) (exitCode int, err error)
}

// errStopped ends a monitor.
var errStopped = errors.New("the health check was stopped")

// Service runs the monitors.
type Service struct {
	containers Containers
	prober     Prober
	log        hclog.Logger

	mu       sync.Mutex
	monitors map[string]*monitor
	closed   bool
}

// New makes a service. Close ends it.
func New(c Containers, p Prober, log hclog.Logger) *Service {
	return &Service{containers: c, prober: p, log: log, monitors: map[string]*monitor{}}
}

// Initial is what inspect shows of a run that begins; nil when there is no check. Results of former runs stay.
func (s *Service) Initial(r *record.Container) *container.Health {
	if _, ok := checkOf(r); !ok {
		return nil
	}
	h := &container.Health{Status: container.Starting, Log: []*container.HealthcheckResult{}}
	if r.State.Health != nil {
		h.Log = append(h.Log, r.State.Health.Log...)
	}
	return h
}

// Start begins to check a container that runs, or runs again after a pause. A second call changes nothing.
func (s *Service) Start(id string) {
	r, err := s.containers.Record(id)
	if err != nil {
		return
	}
	c, ok := checkOf(r)
	if !ok {
		return
	}
	health := r.State.Health
	if health == nil {
		health = s.Initial(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.monitors[id] != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	m := &monitor{service: s, id: id, check: c, health: health, cancel: cancel, done: make(chan struct{})}
	s.monitors[id] = m
	go m.run(ctx)
}

// Stop ends the check of a container that ended, was paused or is removed, and waits for its probe. As in Docker the
// container is unhealthy from then on. No lock that SetHealth takes may be held.
func (s *Service) Stop(id string) {
	if !s.stop(id) {
		return
	}
	r, err := s.containers.Record(id)
	if err != nil || r.State.Health == nil {
		return
	}
	h := *r.State.Health
	h.Status = container.Unhealthy
	if err := s.containers.SetHealth(id, &h, false); err != nil {
		s.log.Debug("set health", "container", id, "error", err)
	}
}

// stop ends a monitor, if there is one.
func (s *Service) stop(id string) bool {
	s.mu.Lock()
	m := s.monitors[id]
	delete(s.monitors, id)
	s.mu.Unlock()
	if m == nil {
		return false
	}
	m.cancel(errStopped)
	<-m.done
	return true
}

// Close ends all monitors and waits for them. The verdicts stay.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	ids := make([]string, 0, len(s.monitors))
	for id, m := range s.monitors {
		ids = append(ids, id)
		m.cancel(errStopped)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.stop(id)
	}
}
