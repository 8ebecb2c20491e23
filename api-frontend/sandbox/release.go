package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Release ends container's hold of b. When nobody holds it any more it is stopped before Release returns. While others
// hold it leave takes the container out of it first, and returns what vmhelper can detach then.
func (m *Manager) Release(ctx context.Context, b *Box, container string, leave func(ctx context.Context) (*vmhelperv1.RemoveDisksRequest, error)) error {
	if err := m.locks.Lock(ctx, b.ID); err != nil {
		return err
	}
	defer m.locks.Unlock(b.ID)
	if !b.HeldByOthers(container) {
		return m.stopLocked(ctx, b)
	}
	req, err := leave(ctx)
	if err == nil {
		err = m.client.call(ctx, func(ctx context.Context) error {
			_, err := m.client.RemoveDisks(ctx, req)
			return err
		})
	}
	b.mu.Lock()
	delete(b.holders, container)
	b.mu.Unlock()
	if err == nil {
		b.dropRefs(req)
	}
	return err
}

// Stop ends the sandbox with this ID, whoever holds it; holders are told that it died. An absent one is no error.
func (m *Manager) Stop(ctx context.Context, id string) error {
	return m.stopIf(ctx, id, func(*Box) bool { return true })
}

// StopIdle ends the sandbox with this ID unless a container holds it, once the operations on its files are over: the
// caller keeps new ones away. An absent one is no error.
func (m *Manager) StopIdle(ctx context.Context, id string) error {
	if b := m.Box(id); b != nil {
		if err := b.unused(ctx); err != nil {
			return err
		}
	}
	return m.stopIf(ctx, id, func(b *Box) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.holders) == 0
	})
}

func (m *Manager) stopIf(ctx context.Context, id string, cond func(b *Box) bool) error {
	if err := m.locks.Lock(ctx, id); err != nil {
		return err
	}
	defer m.locks.Unlock(id)
	if b := m.Box(id); b != nil && cond(b) {
		return m.stopLocked(ctx, b)
	}
	return nil
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
	return m.client.stopSandbox(ctx, id, "", 0)
}

func (m *Manager) stopLocked(ctx context.Context, b *Box) error {
	m.forget(b)
	for _, h := range b.kill(errReleased.Error()) {
		h.Died(errReleased.Error())
	}
	<-b.done
	_ = b.agent.Close()
	return m.stop(ctx, b.ID, b.BootID, stopGrace)
}

// stop ends one boot of a sandbox, or goes on trying after it has returned an error.
func (m *Manager) stop(ctx context.Context, id, boot string, grace time.Duration) error {
	err := m.client.stopSandbox(ctx, id, boot, grace)
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	m.goRun(func() {
		for delay := retryMax; ; delay = min(2*delay, stopLimit) {
			pause(m.ctx, delay)
			if err := m.client.stopSandbox(m.ctx, id, boot, 0); err == nil || m.ctx.Err() != nil {
				return
			}
		}
	})
	return fmt.Errorf("stop sandbox of %s: %w", id, err)
}

// endMaintenance lets the box idle out when this was the last operation.
func (m *Manager) endMaintenance(b *Box) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maintenance--
	if b.maintenance == 0 && b.idle != nil {
		close(b.idle)
		b.idle = nil
	}
	if !b.freeLocked() || b.deadReason != "" {
		return
	}
	ctx, cancel := context.WithCancelCause(b.ctx)
	b.wake = cancel
	m.goRun(func() {
		defer cancel(nil)
		t := time.NewTimer(m.idle)
		defer t.Stop()
		select {
		case <-t.C:
			m.stopIdled(ctx, b)
		case <-ctx.Done():
		}
	})
}

// stopIdled stops a box after its idle time; idle ends when somebody takes it again.
func (m *Manager) stopIdled(idle context.Context, b *Box) {
	ctx, cancel := context.WithTimeout(m.ctx, stopLimit)
	defer cancel()
	if err := m.locks.Lock(ctx, b.ID); err != nil {
		return // The manager ends; or an operation has the turn and with it the box.
	}
	defer m.locks.Unlock(b.ID)
	if idle.Err() != nil {
		return
	}
	if err := m.stopLocked(ctx, b); err != nil {
		m.log.Error("stop idle sandbox", "sandbox", b.ID, "error", err)
	}
}
