package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Handler is told what happens to one holder's container. Its methods are called from the box's own goroutine, in order:
// they must not block for long, and must not call the Manager.
type Handler interface {
	// Exited: the container (execID empty) or an exec ended. It is told again after a reconnection until acknowledged.
	Exited(e *guestv1.Exit)
	OutOfMemory()
	// SocketConnected: a process of the container connected to a bound socket.
	SocketConnected(c *guestv1.SocketConnection)
	// Died: the sandbox has ended without an exit of the container. It is the last call, made at most once.
	Died(reason string)
}

// Box is a running sandbox.
type Box struct {
	ID     string
	BootID string
	Pid    int32

	manager *Manager
	agent   *Agent
	log     hclog.Logger
	ctx     context.Context // ends when the box is dead or released.
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when the event goroutine has returned.

	mu          sync.Mutex
	refs        map[refKey]Attachment
	holders     map[string]Handler // by container ID; nil Handler: maintenance.
	maintenance int
	idle        chan struct{}           // closed when maintenance comes to 0; nil while nobody waits for that.
	wake        context.CancelCauseFunc // ends the idle time; nil while the box does not idle.
	deadReason  string
}

type refKey struct {
	kind vmhelperv1.Attachment_Kind
	id   string
}

// Attachment is where the agent finds something that the driver attached.
type Attachment struct {
	Ref   string
	IsDir bool
}

// Agent returns the connection to the agent.
func (b *Box) Agent() *Agent { return b.agent }

// Done is closed when the box is dead or released.
func (b *Box) Done() <-chan struct{} { return b.ctx.Done() }

// AfterDone runs f in its own goroutine when the box is dead or released; stop is that of [context.AfterFunc].
func (b *Box) AfterDone(f func()) (stop func() bool) { return context.AfterFunc(b.ctx, f) }

// Err tells why the box is of no use any more: [ErrDead] when the sandbox has ended, something else when this manager
// has. It is nil before.
func (b *Box) Err() error { return context.Cause(b.ctx) }

// Attachment returns where the agent finds a disk, upper, volume or share.
func (b *Box) Attachment(kind vmhelperv1.Attachment_Kind, id string) (Attachment, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.refs[refKey{kind, id}]
	if !ok {
		return Attachment{}, fmt.Errorf("sandbox %s has no %s %q attached", b.ID, kind, id)
	}
	return a, nil
}

func (b *Box) addRefs(as []*vmhelperv1.Attachment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range as {
		b.refs[refKey{a.Kind, a.Id}] = Attachment{Ref: a.Ref, IsDir: a.IsDir}
	}
}

func (b *Box) dropRefs(req *vmhelperv1.RemoveDisksRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range req.Disks {
		delete(b.refs, refKey{vmhelperv1.Attachment_DISK, d.Id})
	}
	for kind, ids := range map[vmhelperv1.Attachment_Kind][]string{
		vmhelperv1.Attachment_UPPER: req.Uppers, vmhelperv1.Attachment_VOLUME: req.Volumes, vmhelperv1.Attachment_SHARE: req.ShareTags,
	} {
		for _, id := range ids {
			delete(b.refs, refKey{kind, id})
		}
	}
}

// HeldByOthers tells whether the sandbox goes on when this container lets go of it.
func (b *Box) HeldByOthers(container string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deadReason != "" {
		return false
	}
	n := len(b.holders)
	if _, ok := b.holders[container]; ok {
		n--
	}
	return n > 0 || b.maintenance > 0
}

func (b *Box) freeLocked() bool { return len(b.holders) == 0 && b.maintenance == 0 }

// unused blocks until no operation on files uses the box, or it is dead.
func (b *Box) unused(ctx context.Context) error {
	b.mu.Lock()
	if b.maintenance == 0 {
		b.mu.Unlock()
		return nil
	}
	if b.idle == nil {
		b.idle = make(chan struct{})
	}
	idle := b.idle
	b.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-b.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stayUp ends the idle time. The caller has the box's turn.
func (b *Box) stayUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake != nil {
		b.wake(nil)
		b.wake = nil
	}
}

// missing returns what of spec is not attached yet.
func (b *Box) missing(spec *vmhelperv1.SandboxSpec) *vmhelperv1.AddDisksRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	has := func(k vmhelperv1.Attachment_Kind, id string) bool { _, ok := b.refs[refKey{k, id}]; return ok }
	req := &vmhelperv1.AddDisksRequest{SandboxId: b.ID}
	for _, d := range spec.Disks {
		if !has(vmhelperv1.Attachment_DISK, d.Id) {
			req.Disks = append(req.Disks, d)
		}
	}
	for _, u := range spec.Uppers {
		if !has(vmhelperv1.Attachment_UPPER, u) {
			req.Uppers = append(req.Uppers, u)
		}
	}
	for _, v := range spec.Volumes {
		if !has(vmhelperv1.Attachment_VOLUME, v) {
			req.Volumes = append(req.Volumes, v)
		}
	}
	for _, s := range spec.Shares {
		if !has(vmhelperv1.Attachment_SHARE, s.Tag) {
			req.Shares = append(req.Shares, s)
		}
	}
	if len(req.Disks)+len(req.Uppers)+len(req.Volumes)+len(req.Shares) == 0 {
		return nil
	}
	return req
}

// kill marks the box dead and returns those who must be told.
func (b *Box) kill(reason string) []Handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deadReason != "" {
		return nil
	}
	b.deadReason = reason
	var hs []Handler
	for _, h := range b.holders {
		if h != nil {
			hs = append(hs, h)
		}
	}
	b.holders = map[string]Handler{}
	b.cancel(fmt.Errorf("%w: %s", ErrDead, reason))
	return hs
}

var errReleased = errors.New("the sandbox was released")

func newBox(m *Manager, sb *vmhelperv1.Sandbox) (*Box, error) {
	agent, err := NewAgent(func(ctx context.Context, port uint32) (net.Conn, error) {
		return m.client.Dial(ctx, sb.Id, port)
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Box{
		ID: sb.Id, BootID: sb.BootId, Pid: sb.Pid,
		manager: m, agent: agent, log: m.log.With("sandbox", sb.Id[:min(12, len(sb.Id))]),
		ctx: ctx, cancel: cancel, done: make(chan struct{}),
		refs: map[refKey]Attachment{}, holders: map[string]Handler{},
	}, nil
}
