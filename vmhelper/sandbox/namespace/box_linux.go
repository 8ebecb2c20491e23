package namespace

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

// box is one boot of a sandbox.
type box struct {
	d     *Driver
	info  sandbox.Info
	agent *os.File // O_PATH on the agent's socket.
	boot  *bootwire.Conn
	done  chan struct{}

	booted chan bootwire.Response // the answer to the boot request.

	mu      sync.Mutex
	ready   bool
	notes   []sandbox.Attachment
	links   []privileged.Link
	reason  string
	seq     uint64
	pending map[uint64]chan bootwire.Response
}

var _ sandbox.Sandbox = (*box)(nil)

func newBox(ctx context.Context, d *Driver, desc *privileged.Description) (*box, error) {
	b := &box{
		d:    d,
		info: sandbox.Info{ID: desc.ID, BootID: desc.BootID, Pid: int(desc.Pid), Started: time.Unix(0, int64(desc.Started))},
		done: make(chan struct{}), ready: desc.Ready, notes: attachments(desc.Attachments), links: desc.Links,
		// Sequence numbers are never used twice on a socket, which this worker may have from another.
		seq: uint64(time.Now().UnixNano()), pending: map[uint64]chan bootwire.Response{},
	}
	var err error
	if b.agent, err = d.client.Call(ctx, keeper.OpGet, &keeper.Name{Name: privileged.AgentName(desc.ID)}, nil); err != nil {
		return nil, err
	}
	f, err := d.client.Call(ctx, keeper.OpGet, &keeper.Name{Name: privileged.BootName(desc.ID)}, nil)
	if errdefs.IsNotFound(err) {
		return b, nil // It was adopted and nothing can be added to it.
	}
	if err == nil {
		b.boot, err = bootwire.New(f)
	}
	if err != nil {
		_ = b.agent.Close()
		return nil, err
	}
	if !desc.Ready {
		b.booted = make(chan bootwire.Response, 1)
		b.pending[privileged.BootSeq] = b.booted
	}
	d.wg.Go(b.receive)
	return b, nil
}

func attachments(as []privileged.Attachment) []sandbox.Attachment {
	out := make([]sandbox.Attachment, len(as))
	for i, a := range as {
		out[i] = sandbox.Attachment{Kind: sandbox.Kind(a.Kind), ID: a.ID, Ref: a.Ref, IsDir: a.IsDir}
	}
	return out
}

// receive hands the agent's answers to those who wait for them. What it says is hostile: an unknown number is ignored.
func (b *box) receive() {
	for {
		r, err := b.boot.ReceiveResponse()
		if err != nil {
			select {
			case <-b.done:
			case <-b.d.client.Done():
			default:
				// The agent ended, or it broke the protocol. A frozen process would keep the rest of it for ever.
				ctx, cancel := context.WithTimeout(context.Background(), changeLimit)
				defer cancel()
				if err := b.d.call(ctx, privileged.OpStop, b.ref(), nil); err != nil && !errdefs.IsUnavailable(err) {
					b.d.log.Error("end sandbox whose agent is gone", "sandbox", b.info.ID, "error", err)
				}
			}
			return
		}
		b.mu.Lock()
		ch := b.pending[r.Seq]
		delete(b.pending, r.Seq)
		b.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
}

func (b *box) ref() *privileged.Ref { return &privileged.Ref{ID: b.info.ID, BootID: b.info.BootID} }

func (b *box) isReady() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready
}

// end is called once, when nothing of the sandbox is left.
func (b *box) end(reason string) {
	b.mu.Lock()
	b.reason = reason
	b.mu.Unlock()
	close(b.done)
	if b.boot != nil {
		_ = b.boot.Close()
	}
	_ = b.agent.Close()
}

// answer waits for the agent's answer to a request.
func (b *box) answer(ctx context.Context, ch chan bootwire.Response, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r := <-ch:
		if r.Error != "" {
			return fmt.Errorf("%s: %w", r.Error, errdefs.ErrUnknown)
		}
		return nil
	case <-b.done:
		return fmt.Errorf("the sandbox ended: %s: %w", b.Reason(), errdefs.ErrUnavailable)
	case <-t.C:
		return fmt.Errorf("the agent did not answer within %v: %w", limit, context.DeadlineExceeded)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Info tells of this boot.
func (b *box) Info() sandbox.Info { return b.info }

// Attachments tells what is attached.
func (b *box) Attachments() []sandbox.Attachment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notes)
}

// Done is closed when the sandbox has ended.
func (b *box) Done() <-chan struct{} { return b.done }

// Reason tells why it ended.
func (b *box) Reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason
}

// Dial opens a stream to a port of the agent.
func (b *box) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	if err := failpoint.Hit("agent/dial"); err != nil {
		return nil, err
	}
	conn, err := b.dial(ctx, port)
	if err != nil {
		return nil, fmt.Errorf("dial port %d of sandbox %s: %w", port, b.info.ID, errors.Join(err, errdefs.ErrUnavailable))
	}
	return conn, nil
}

func (b *box) dial(ctx context.Context, port uint32) (net.Conn, error) {
	rc, err := b.agent.SyscallConn()
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	var derr error
	if err := rc.Control(func(fd uintptr) {
		var d net.Dialer
		conn, derr = d.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(int(fd)))
	}); err != nil {
		return nil, err
	}
	if derr != nil {
		return nil, derr
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(deadline) // The write itself fails when this did.
	}
	if _, err := conn.Write(binary.BigEndian.AppendUint32(nil, port)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, conn.SetWriteDeadline(time.Time{})
}

// Link returns the host's end of a link.
func (b *box) Link(ctx context.Context, name string) (*sandbox.Link, error) {
	l, ok := b.findLink(name)
	if !ok {
		return nil, fmt.Errorf("sandbox %s has no link %q: %w", b.info.ID, name, errdefs.ErrNotFound)
	}
	f, err := b.d.client.Call(ctx, keeper.OpGet, &keeper.Name{Name: privileged.LinkName(b.info.ID, name)}, nil)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, fmt.Errorf("link %q of sandbox %s: the keeper gave no descriptor: %w", name, b.info.ID, errdefs.ErrInternal)
	}
	return &sandbox.Link{File: f, VnetHeader: privileged.VnetHeader, MTU: l.MTU}, nil
}

func (b *box) findLink(name string) (privileged.Link, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.links, func(l privileged.Link) bool { return l.Name == name })
	if i < 0 {
		return privileged.Link{}, false
	}
	return b.links[i], true
}

// Links tells what links there are.
func (b *box) Links() []sandbox.LinkSpec {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]sandbox.LinkSpec, len(b.links))
	for i, l := range b.links {
		out[i] = sandbox.LinkSpec{Name: l.Name, MAC: l.MAC, MTU: l.MTU}
	}
	return out
}

// AddLink makes a link.
func (b *box) AddLink(ctx context.Context, l sandbox.LinkSpec) error {
	req := &privileged.LinkChange{Ref: *b.ref(), Link: privileged.Link{Name: l.Name, MAC: l.MAC, MTU: l.MTU}}
	var made privileged.Link
	if err := b.d.call(ctx, privileged.OpAddLink, req, &made); err != nil {
		return fmt.Errorf("add link %s to sandbox %s: %w", l.Name, b.info.ID, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.links = append(slices.DeleteFunc(b.links, func(h privileged.Link) bool { return h.Name == l.Name }), made)
	return nil
}

// RemoveLink takes a link away.
func (b *box) RemoveLink(ctx context.Context, name string) error {
	req := &privileged.LinkChange{Ref: *b.ref(), Link: privileged.Link{Name: name}}
	if err := b.d.call(ctx, privileged.OpRemoveLink, req, nil); err != nil {
		return fmt.Errorf("remove link %s of sandbox %s: %w", name, b.info.ID, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.links = slices.DeleteFunc(b.links, func(l privileged.Link) bool { return l.Name == name })
	return nil
}

// Stop ends the sandbox. The agent is not asked: what it would unmount, the kernel does before the agent's end is seen,
// and what was written to an upper or a volume is the host's page cache's, which no kill loses.
func (b *box) Stop(ctx context.Context, _ time.Duration) error {
	err := b.d.call(ctx, privileged.OpStop, b.ref(), nil)
	if err != nil {
		return fmt.Errorf("stop sandbox %s: %w", b.info.ID, err)
	}
	select {
	case <-b.done:
		return nil
	case <-b.d.client.Done():
		return fmt.Errorf("stop sandbox %s: the keeper is gone: %w", b.info.ID, errdefs.ErrUnavailable)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
