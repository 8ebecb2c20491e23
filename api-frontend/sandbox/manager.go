package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/internal/keylock"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

const (
	// idleTime is how long a sandbox that was started for maintenance stays up after the last operation.
	idleTime = 5 * time.Second
	// stopGrace is how long an agent may take to unmount and sync before its sandbox is killed.
	stopGrace = 5 * time.Second
	// stopLimit bounds a stop as a whole.
	stopLimit = 30 * time.Second
)

// Manager knows the running sandboxes. Make one with [NewManager] and run it with Run.
type Manager struct {
	// HelloLimit bounds the wait for the agent of a sandbox that is adopted: one that does not answer holds up nobody
	// else. It is set before Run, by tests.
	HelloLimit time.Duration

	client *Client
	log    hclog.Logger
	idle   time.Duration // how long a sandbox that was started for maintenance stays up after the last operation.
	locks  keylock.Map   // one turn per sandbox ID: boot, hold, release and stop.

	ctx    context.Context // ends with Run.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // one per box, and one per idle box.

	mu     sync.Mutex
	boxes  map[string]*Box
	info   *vmhelperv1.InfoResponse
	synced chan struct{} // closed after the first reconciliation.
	closed bool          // nothing is added to wg any more.
}

// NewManager returns a manager that speaks to vmhelper through client.
func NewManager(client *Client, log hclog.Logger) *Manager {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Manager{
		HelloLimit: 10 * time.Second,
		client:     client, log: log, idle: idleTime, ctx: ctx, cancel: cancel, boxes: map[string]*Box{}, synced: make(chan struct{}),
	}
}

// Client returns the client of vmhelper.
func (m *Manager) Client() *Client { return m.client }

// Ready waits until the manager has seen vmhelper once and everything was reconciled with what runs there.
func (m *Manager) Ready(ctx context.Context) error {
	select {
	case <-m.synced:
		return nil
	default:
	}
	t := time.NewTimer(10 * time.Second)
	defer t.Stop()
	select {
	case <-m.synced:
		return nil
	case <-t.C:
		return unreachable(m.client.socket, errors.New("no answer in 10 s"))
	case <-m.ctx.Done():
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Info returns what vmhelper said of itself; the zero value before the first contact.
func (m *Manager) Info() *vmhelperv1.InfoResponse {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.info == nil {
		return &vmhelperv1.InfoResponse{Features: &vmhelperv1.Features{}}
	}
	return m.info
}

// Box returns the running sandbox with this ID, or nil.
func (m *Manager) Box(id string) *Box {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boxes[id]
}

// add makes a box findable and follows its agent.
func (m *Manager) add(b *Box) error {
	m.mu.Lock()
	m.boxes[b.ID] = b
	m.mu.Unlock()
	if m.goRun(b.follow) {
		return nil
	}
	m.forget(b)
	b.cancel(errClosed)
	close(b.done)
	return errors.Join(errClosed, b.agent.Close())
}

var errClosed = fmt.Errorf("the frontend is shutting down: %w", errdefs.ErrUnavailable)

// goRun runs f in a goroutine that Run waits for; false when Run is over.
func (m *Manager) goRun(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Go(f)
	return true
}

func (m *Manager) forget(b *Box) {
	m.mu.Lock()
	if m.boxes[b.ID] == b {
		delete(m.boxes, b.ID)
	}
	m.mu.Unlock()
}

// died is called when a sandbox has ended by itself.
func (m *Manager) died(b *Box, reason string) {
	m.forget(b)
	for _, h := range b.kill(reason) {
		h.Died(reason)
	}
	_ = b.agent.Close()
}

// alive asks vmhelper whether this boot of a sandbox still runs.
func (m *Manager) alive(ctx context.Context, id, boot string) (bool, error) {
	var resp *vmhelperv1.ListSandboxesResponse
	err := m.client.call(ctx, func(ctx context.Context) (err error) {
		resp, err = m.client.ListSandboxes(ctx, &vmhelperv1.ListSandboxesRequest{})
		return err
	})
	if err != nil {
		return false, err
	}
	for _, s := range resp.Sandboxes {
		if s.Id == id && s.BootId == boot {
			return true, nil
		}
	}
	return false, nil
}
