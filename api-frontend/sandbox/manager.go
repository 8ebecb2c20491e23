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
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
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
	client *Client
	log    hclog.Logger
	locks  keylock.Map // one turn per sandbox ID: boot, hold, release and stop.
	wg     sync.WaitGroup

	mu     sync.Mutex
	boxes  map[string]*Box
	info   *vmhelperv1.InfoResponse
	synced chan struct{} // closed after the first reconciliation.
	closed bool
}

// NewManager returns a manager that speaks to vmhelper through client.
func NewManager(client *Client, log hclog.Logger) *Manager {
	return &Manager{client: client, log: log, boxes: map[string]*Box{}, synced: make(chan struct{})}
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

// Hold boots the sandbox of spec, or takes the one that runs, attaches what of spec is missing, and registers h as the
// holder for container. Created tells whether it was booted by this call.
func (m *Manager) Hold(ctx context.Context, spec *vmhelperv1.SandboxSpec, container string, h Handler) (*Box, error) {
	if err := m.Ready(ctx); err != nil {
		return nil, err
	}
	b, err := m.take(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer m.locks.Unlock(spec.Id)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deadReason != "" {
		return nil, fmt.Errorf("%w: %s", ErrDead, b.deadReason)
	}
	b.holders[container] = h
	return b, nil
}

// Maintain holds the sandbox of spec for one operation; release lets go of it.
func (m *Manager) Maintain(ctx context.Context, spec *vmhelperv1.SandboxSpec) (b *Box, release func(), err error) {
	if err := m.Ready(ctx); err != nil {
		return nil, nil, err
	}
	b, err = m.take(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	b.maintenance++
	b.mu.Unlock()
	m.locks.Unlock(spec.Id)
	var once sync.Once
	return b, func() { once.Do(func() { m.endMaintenance(b) }) }, nil
}

// take returns the box of spec with its turn taken; the caller gives it back.
func (m *Manager) take(ctx context.Context, spec *vmhelperv1.SandboxSpec) (*Box, error) {
	if err := m.locks.Lock(ctx, spec.Id); err != nil {
		return nil, err
	}
	b, err := m.bootLocked(ctx, spec)
	if err != nil {
		m.locks.Unlock(spec.Id)
		return nil, err
	}
	b.mu.Lock()
	if b.idle != nil {
		b.idle.Stop()
		b.idle = nil
	}
	b.mu.Unlock()
	return b, nil
}

func (m *Manager) bootLocked(ctx context.Context, spec *vmhelperv1.SandboxSpec) (*Box, error) {
	if b := m.Box(spec.Id); b != nil {
		req := b.missing(spec)
		if req == nil {
			return b, nil
		}
		err := m.client.call(ctx, func(ctx context.Context) error {
			resp, err := m.client.AddDisks(ctx, req)
			b.addRefs(resp.GetAttachments())
			return err
		})
		return b, err
	}
	var resp *vmhelperv1.CreateSandboxResponse
	err := m.client.call(ctx, func(ctx context.Context) (err error) {
		resp, err = m.client.CreateSandbox(ctx, &vmhelperv1.CreateSandboxRequest{Spec: spec})
		return err
	})
	if err != nil {
		return nil, err
	}
	b, err := newBox(m, resp.Sandbox)
	if err != nil {
		return nil, err
	}
	b.addRefs(resp.Attachments)
	m.add(b)
	return b, nil
}

// Adopt takes up a sandbox that was running before this process. The handlers are registered before the first event
// can arrive. [ErrDead] when it has ended meanwhile.
func (m *Manager) Adopt(ctx context.Context, spec *vmhelperv1.SandboxSpec, holders map[string]Handler) (*Box, *guestv1.HelloResponse, error) {
	if err := m.locks.Lock(ctx, spec.Id); err != nil {
		return nil, nil, err
	}
	defer m.locks.Unlock(spec.Id)
	b := m.Box(spec.Id)
	if b == nil {
		// CreateSandbox is idempotent: it answers with the attachments of the one that runs.
		var resp *vmhelperv1.CreateSandboxResponse
		err := m.client.call(ctx, func(ctx context.Context) (err error) {
			resp, err = m.client.CreateSandbox(ctx, &vmhelperv1.CreateSandboxRequest{Spec: spec})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if resp.Created {
			// The one that ran has ended since it was listed; this empty one is of no use.
			_, err := m.client.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: spec.Id, BootId: resp.Sandbox.GetBootId()})
			return nil, nil, errors.Join(ErrDead, err)
		}
		if b, err = newBox(m, resp.Sandbox); err != nil {
			return nil, nil, err
		}
		b.addRefs(resp.Attachments)
	}
	hello, err := b.agent.Hello(ctx, &guestv1.HelloRequest{HostUnixNano: time.Now().UnixNano()})
	if err != nil {
		return nil, nil, native(err)
	}
	b.mu.Lock()
	for id, h := range holders {
		b.holders[id] = h
	}
	b.mu.Unlock()
	if m.Box(spec.Id) == nil {
		m.add(b)
	}
	return b, hello, nil
}

// Box returns the running sandbox with this ID, or nil.
func (m *Manager) Box(id string) *Box {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boxes[id]
}

func (m *Manager) add(b *Box) {
	m.mu.Lock()
	m.boxes[b.ID] = b
	m.wg.Add(1)
	m.mu.Unlock()
	go func() {
		defer m.wg.Done()
		b.follow()
	}()
}

// Release ends container's hold of b. When nobody holds it any more it is stopped before Release returns.
func (m *Manager) Release(ctx context.Context, b *Box, container string) error {
	if err := m.locks.Lock(ctx, b.ID); err != nil {
		return err
	}
	defer m.locks.Unlock(b.ID)
	b.mu.Lock()
	delete(b.holders, container)
	free := len(b.holders) == 0 && b.maintenance == 0
	b.mu.Unlock()
	if !free {
		return nil
	}
	return m.stopLocked(ctx, b)
}

// Stop ends the sandbox with this ID, whoever holds it; holders are told that it died. An absent one is no error.
func (m *Manager) Stop(ctx context.Context, id string) error {
	if err := m.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer m.locks.Unlock(id)
	if b := m.Box(id); b != nil {
		return m.stopLocked(ctx, b)
	}
	return m.client.call(ctx, func(ctx context.Context) error {
		_, err := m.client.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: id})
		return err
	})
}

// Detach takes disks, uppers, volumes and shares out of a running sandbox; the agent has unmounted them.
func (m *Manager) Detach(ctx context.Context, b *Box, req *vmhelperv1.RemoveDisksRequest) error {
	if err := m.locks.Lock(ctx, b.ID); err != nil {
		return err
	}
	defer m.locks.Unlock(b.ID)
	err := m.client.call(ctx, func(ctx context.Context) error {
		_, err := m.client.RemoveDisks(ctx, req)
		return err
	})
	if err == nil {
		b.dropRefs(req)
	}
	return err
}

// StopIdle ends the sandbox with this ID unless a container holds it. An absent one is no error.
func (m *Manager) StopIdle(ctx context.Context, id string) error {
	if err := m.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer m.locks.Unlock(id)
	b := m.Box(id)
	if b == nil {
		return nil
	}
	b.mu.Lock()
	held := len(b.holders) > 0
	b.mu.Unlock()
	if held {
		return nil
	}
	return m.stopLocked(ctx, b)
}

// StopUnknown ends a sandbox that vmhelper lists and that has no box here.
func (m *Manager) StopUnknown(ctx context.Context, id string) error {
	if err := m.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer m.locks.Unlock(id)
	if m.Box(id) != nil {
		return nil // It was booted meanwhile.
	}
	return m.client.call(ctx, func(ctx context.Context) error {
		_, err := m.client.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: id})
		return err
	})
}

func (m *Manager) stopLocked(ctx context.Context, b *Box) error {
	m.forget(b)
	for _, h := range b.kill(errReleased.Error()) {
		h.Died(errReleased.Error())
	}
	<-b.done
	_ = b.agent.Close()
	err := m.client.call(ctx, func(ctx context.Context) error {
		_, err := m.client.StopSandbox(ctx, &vmhelperv1.StopSandboxRequest{Id: b.ID, BootId: b.BootID, GraceMilliseconds: uint32(stopGrace.Milliseconds())})
		return err
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("stop sandbox of %s: %w", b.ID, err)
	}
	return nil
}

func (m *Manager) forget(b *Box) {
	m.mu.Lock()
	if m.boxes[b.ID] == b {
		delete(m.boxes, b.ID)
	}
	m.mu.Unlock()
}

func (m *Manager) endMaintenance(b *Box) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maintenance--
	if b.maintenance > 0 || len(b.holders) > 0 || b.deadReason != "" {
		return
	}
	b.idle = time.AfterFunc(idleTime, func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		if err := m.locks.Lock(ctx, b.ID); err != nil {
			return
		}
		defer m.locks.Unlock(b.ID)
		b.mu.Lock()
		busy := b.maintenance > 0 || len(b.holders) > 0 || b.deadReason != "" || b.idle == nil
		b.mu.Unlock()
		if busy {
			return
		}
		if err := m.stopLocked(ctx, b); err != nil {
			m.log.Error("stop idle sandbox", "sandbox", b.ID, "error", err)
		}
	})
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
