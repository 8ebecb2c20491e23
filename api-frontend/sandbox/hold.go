package sandbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Hold boots the sandbox of spec, or takes the one that runs, attaches what of spec is missing, and registers h as the
// holder for container.
func (m *Manager) Hold(ctx context.Context, spec *vmhelperv1.SandboxSpec, container string, h Handler) (*Box, error) {
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
	b, err = m.take(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	b.maintenance++
	b.mu.Unlock()
	m.locks.Unlock(spec.Id)
	return b, sync.OnceFunc(func() { m.endMaintenance(b) }), nil
}

// take returns the box of spec with its turn taken; the caller gives it back.
func (m *Manager) take(ctx context.Context, spec *vmhelperv1.SandboxSpec) (*Box, error) {
	if err := m.Ready(ctx); err != nil {
		return nil, err
	}
	if err := m.locks.Lock(ctx, spec.Id); err != nil {
		return nil, err
	}
	taken := false
	defer func() { // A panic gives the turn back too.
		if !taken {
			m.locks.Unlock(spec.Id)
		}
	}()
	b, err := m.bootLocked(ctx, spec)
	if err != nil {
		return nil, err
	}
	b.stayUp()
	taken = true
	return b, nil
}

func (m *Manager) bootLocked(ctx context.Context, spec *vmhelperv1.SandboxSpec) (*Box, error) {
	if b := m.Box(spec.Id); b != nil {
		if err := m.addLinks(ctx, spec); err != nil {
			return nil, err
		}
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
	resp, err := m.client.createSandbox(ctx, spec)
	if err == nil && !resp.Created {
		// Left over from a stop that vmhelper did not hear of, or made by this call before its answer got lost. What
		// runs in it is not known: it goes.
		if err = m.stop(ctx, spec.Id, resp.Sandbox.GetBootId(), 0); err == nil {
			resp, err = m.client.createSandbox(ctx, spec)
		}
	}
	if err != nil {
		if !errdefs.IsUnavailable(err) { // Else vmhelper's return finds what it left.
			m.disown(ctx, spec.Id)
		}
		return nil, err
	}
	b, err := newBox(m, resp.Sandbox)
	if err != nil {
		return nil, err
	}
	b.addRefs(resp.Attachments)
	return b, m.add(b)
}

// addLinks adds the links of spec to a sandbox that runs: one that was booted for maintenance has none. Where links are
// fixed at boot (trunks) it has them.
func (m *Manager) addLinks(ctx context.Context, spec *vmhelperv1.SandboxSpec) error {
	if !m.Info().GetFeatures().GetHotLink() {
		return nil
	}
	for _, l := range spec.Links {
		err := m.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
			_, err := n.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: spec.Id, Link: l})
			return err
		})
		if err != nil {
			return fmt.Errorf("add link %s: %w", l.Name, err)
		}
	}
	return nil
}

// disown ends a sandbox whose boot failed for this side, though perhaps not for the other.
func (m *Manager) disown(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if err := m.client.stopSandbox(ctx, id, "", 0); err != nil {
		m.log.Warn("end what a failed boot may have left", "sandbox", id, "error", err)
	}
}

// Adopt takes up a sandbox that was running before this process. The handlers are registered before the first event
// can arrive. [ErrDead] when it has ended meanwhile, or when its agent does not answer.
func (m *Manager) Adopt(ctx context.Context, id string, holders map[string]Handler) (*Box, *guestv1.HelloResponse, error) {
	if err := m.locks.Lock(ctx, id); err != nil {
		return nil, nil, err
	}
	defer m.locks.Unlock(id)
	// CreateSandbox is idempotent: it answers with the attachments of the one that runs.
	resp, err := m.client.createSandbox(ctx, &vmhelperv1.SandboxSpec{Id: id})
	if err != nil {
		return nil, nil, err
	}
	if resp.Created {
		// The one that ran has ended since it was listed; this empty one is of no use.
		if err := m.client.stopSandbox(ctx, id, resp.Sandbox.GetBootId(), 0); err != nil {
			return nil, nil, err
		}
		return nil, nil, ErrDead
	}
	b, err := newBox(m, resp.Sandbox)
	if err != nil {
		return nil, nil, err
	}
	b.addRefs(resp.Attachments)
	hello, err := m.greet(ctx, b)
	if err != nil {
		_ = b.agent.Close() // Nothing was sent over it that anybody waits for.
		return nil, nil, err
	}
	b.holders = holders
	return b, hello, m.add(b)
}

func (m *Manager) greet(ctx context.Context, b *Box) (*guestv1.HelloResponse, error) {
	limited, cancel := context.WithTimeout(ctx, m.HelloLimit)
	defer cancel()
	for {
		hello, err := b.agent.Hello(limited, &guestv1.HelloRequest{HostUnixNano: time.Now().UnixNano()})
		if err == nil {
			return hello, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		// Either the sandbox has ended, or vmhelper went away between the two.
		alive, checkErr := m.alive(ctx, b.ID, b.BootID)
		switch {
		case checkErr != nil:
			return nil, checkErr
		case !alive:
			return nil, ErrDead
		case limited.Err() != nil:
			err = m.client.stopSandbox(ctx, b.ID, b.BootID, 0)
			m.log.Error("agent does not answer, its sandbox was stopped", "sandbox", b.ID, "error", err)
			return nil, ErrDead
		}
		pause(limited, retryFirst)
	}
}
