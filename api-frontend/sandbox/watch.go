package sandbox

import (
	"context"
	"time"

	"google.golang.org/grpc"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Reconciler compares what runs with what should, whenever vmhelper was (re)connected.
type Reconciler interface {
	// Reconcile gets every running sandbox. It adopts those it knows and stops the others.
	Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) error
}

// Run follows vmhelper until ctx ends, then waits for every goroutine of the manager. Sandboxes keep running.
func (m *Manager) Run(ctx context.Context, r Reconciler) error {
	for ctx.Err() == nil {
		if err := m.watch(ctx, r); err != nil && ctx.Err() == nil {
			m.log.Debug("vmhelper's watch ended, reconnecting", "error", err)
			pause(ctx, 50*time.Millisecond) // For a server that answers and fails; gRPC paces the rest.
		}
	}
	m.cancel(errClosed)
	m.mu.Lock()
	boxes := m.boxes
	m.boxes, m.closed = map[string]*Box{}, true
	m.mu.Unlock()
	for _, b := range boxes {
		b.cancel(errClosed)
		_ = b.agent.Close()
	}
	m.wg.Wait()
	return nil
}

func (m *Manager) watch(ctx context.Context, r Reconciler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	info, err := m.client.Info(ctx, &vmhelperv1.InfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.info = info
	m.mu.Unlock()
	stream, err := m.client.WatchSandboxes(ctx, &vmhelperv1.WatchSandboxesRequest{})
	if err != nil {
		return err
	}
	var listed []*vmhelperv1.Sandbox
	for {
		ev, err := stream.Recv()
		if err != nil {
			return err
		}
		switch ev.Kind {
		case vmhelperv1.SandboxEvent_LISTED:
			listed = append(listed, ev.Sandbox)
		case vmhelperv1.SandboxEvent_SYNCED:
			m.absent(ctx, listed)
			if err := r.Reconcile(ctx, listed); err != nil {
				return err
			}
			listed = nil
			m.mu.Lock()
			select {
			case <-m.synced:
			default:
				close(m.synced)
			}
			m.mu.Unlock()
		case vmhelperv1.SandboxEvent_EXITED:
			if b := m.Box(ev.Sandbox.GetId()); b != nil && b.BootID == ev.Sandbox.GetBootId() {
				m.died(b, ev.Reason)
			}
		}
	}
}

// absent buries the boxes that vmhelper no longer lists: they ended while nobody watched.
func (m *Manager) absent(ctx context.Context, listed []*vmhelperv1.Sandbox) {
	boots := make(map[string]string, len(listed))
	for _, s := range listed {
		boots[s.Id] = s.BootId
	}
	m.mu.Lock()
	var gone []*Box
	for id, b := range m.boxes {
		if boots[id] != b.BootID {
			gone = append(gone, b)
		}
	}
	m.mu.Unlock()
	for _, b := range gone {
		// It may have been booted since the listing.
		if alive, err := m.alive(ctx, b.ID, b.BootID); err == nil && !alive {
			m.died(b, "it ended while vmhelper was away")
		}
	}
}
