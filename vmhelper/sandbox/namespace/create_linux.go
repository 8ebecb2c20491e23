package namespace

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/internal/phase"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/privileged"
)

// Create boots a sandbox or returns the one that runs.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, bool, error) {
	if err := d.locks.Lock(ctx, spec.ID); err != nil {
		return nil, false, err
	}
	defer d.locks.Unlock(spec.ID)
	if sb, err := d.Get(spec.ID); err == nil {
		return sb, false, nil
	}
	b, err := d.create(ctx, spec)
	if err != nil {
		return nil, false, fmt.Errorf("create sandbox %s: %w", spec.ID, err)
	}
	return b, true, nil
}

func (d *Driver) create(ctx context.Context, spec sandbox.Spec) (*box, error) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // Never fails: crypto/rand.Read ends the program instead.
	req := &privileged.Start{
		ID: spec.ID, BootID: hex.EncodeToString(id), Things: things(spec.Things), MemoryBytes: spec.MemoryBytes, CPUs: spec.CPUs,
		HostNetwork: spec.HostNetwork, HostPID: spec.HostPID, HostIPC: spec.HostIPC, HostUTS: spec.HostUTS, HostDevices: spec.HostDevices,
	}
	for _, l := range spec.Links {
		req.Links = append(req.Links, privileged.Link{Name: l.Name, MAC: l.MAC, MTU: l.MTU})
	}
	trace := phase.Begin()
	var desc privileged.Description
	err := d.call(ctx, privileged.OpStart, req, &desc)
	if errdefs.IsAlreadyExists(err) {
		// It is just ending, or was started by a call whose caller left: either way it goes first.
		if err = d.call(ctx, privileged.OpStop, &privileged.Ref{ID: spec.ID}, nil); err == nil {
			err = d.call(ctx, privileged.OpStart, req, &desc)
		}
	}
	if err != nil {
		return nil, err
	}
	trace.End("keeper")
	b, err := d.take(ctx, &desc)
	if err == nil {
		err = b.awaitBoot(ctx, trace)
	} else if reason, ok := d.ended(desc.BootID); ok {
		return nil, fmt.Errorf("the sandbox ended: %s: %w", reason, errdefs.ErrUnavailable)
	}
	if err != nil {
		// What was begun is ended even when the caller has left.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeLimit)
		defer cancel()
		if serr := d.call(ctx, privileged.OpStop, &privileged.Ref{ID: desc.ID, BootID: desc.BootID}, nil); serr != nil {
			err = errors.Join(err, serr)
		}
		return nil, err
	}
	d.log.Debug("booted", "sandbox", spec.ID, "milliseconds", trace)
	return b, nil
}

// ended tells why a boot that never became a box has ended.
func (d *Driver) ended(bootID string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	reason, ok := d.gone[bootID]
	delete(d.gone, bootID)
	return reason, ok
}

func (b *box) awaitBoot(ctx context.Context, trace *phase.Trace) error {
	if b.booted == nil {
		return fmt.Errorf("the agent has no boot socket: %w", errdefs.ErrInternal)
	}
	if err := b.answer(ctx, b.booted, bootLimit); err != nil {
		return err
	}
	trace.End("agent")
	if err := b.d.call(ctx, privileged.OpReady, b.ref(), nil); err != nil {
		return err
	}
	trace.End("record")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = true
	return nil
}

func things(t sandbox.Things) privileged.Things {
	p := privileged.Things{Disks: t.Disks, Uppers: t.Uppers, Volumes: t.Volumes}
	for _, s := range t.Shares {
		p.Shares = append(p.Shares, privileged.Share{Tag: s.Tag, Path: s.Path, ReadOnly: s.ReadOnly, Create: s.Create})
	}
	return p
}

// AddDisks attaches more.
func (b *box) AddDisks(ctx context.Context, t sandbox.Things) ([]sandbox.Attachment, error) {
	reply, err := b.change(ctx, privileged.OpAdd, things(t))
	if err != nil {
		return nil, fmt.Errorf("add disks to sandbox %s: %w", b.info.ID, err)
	}
	as := attachments(reply.Attachments)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range as {
		if !slices.Contains(b.notes, a) {
			b.notes = append(b.notes, a)
		}
	}
	return as, nil
}

// RemoveDisks takes away what is attached of t.
func (b *box) RemoveDisks(ctx context.Context, t sandbox.Things) error {
	reply, err := b.change(ctx, privileged.OpRemove, things(t))
	if err == nil {
		err = b.d.call(ctx, privileged.OpRemoved, &privileged.Change{Ref: *b.ref(), Things: things(t)}, &privileged.Attachments{})
	}
	if err != nil {
		return fmt.Errorf("remove disks from sandbox %s: %w", b.info.ID, err)
	}
	as := attachments(reply.Attachments)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = slices.DeleteFunc(b.notes, func(a sandbox.Attachment) bool { return slices.Contains(as, a) })
	return nil
}

// change asks the keeper for a change and waits for the agent's answer when it was asked. What the agent refused to
// add is taken back.
func (b *box) change(ctx context.Context, op uint16, t privileged.Things) (*privileged.Attachments, error) {
	ch := make(chan bootwire.Response, 1)
	b.mu.Lock()
	b.seq++
	seq := b.seq
	b.pending[seq] = ch
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.pending, seq)
	}()
	req := &privileged.Change{Ref: *b.ref(), Seq: seq, Things: t}
	reply := &privileged.Attachments{}
	if err := b.d.call(ctx, op, req, reply); err != nil || !reply.Sent {
		return reply, err
	}
	err := b.answer(ctx, ch, changeLimit)
	if req.Things = b.without(t); err != nil && op == privileged.OpAdd {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, b.d.call(ctx, privileged.OpRemoved, req, &privileged.Attachments{}))
	}
	return reply, err
}

// without returns what of t this worker does not know to be attached.
func (b *box) without(t privileged.Things) privileged.Things {
	b.mu.Lock()
	defer b.mu.Unlock()
	have := func(k sandbox.Kind) func(string) bool {
		return func(id string) bool {
			return slices.ContainsFunc(b.notes, func(a sandbox.Attachment) bool { return a.Kind == k && a.ID == id })
		}
	}
	return privileged.Things{
		Disks:   slices.DeleteFunc(slices.Clone(t.Disks), have(sandbox.Disk)),
		Uppers:  slices.DeleteFunc(slices.Clone(t.Uppers), have(sandbox.Upper)),
		Volumes: slices.DeleteFunc(slices.Clone(t.Volumes), have(sandbox.Volume)),
		Shares:  slices.DeleteFunc(slices.Clone(t.Shares), func(s privileged.Share) bool { return have(sandbox.Mount)(s.Tag) }),
	}
}
