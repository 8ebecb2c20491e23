package privileged

import (
	"context"
	"slices"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// add attaches what is not attached yet and sends it to the agent, whose answer the worker awaits.
func (m *Manager) add(ctx context.Context, req *Change) (wire.Message, error) {
	if err := req.Things.check(); err != nil {
		return nil, err
	}
	b, err := m.find(req.Ref)
	if err != nil {
		return nil, err
	}
	if err := m.locks.Lock(ctx, b.id); err != nil {
		return nil, err
	}
	defer m.locks.Unlock(b.id)
	reply := &Attachments{}
	missing := b.split(&req.Things, reply)
	a, err := m.attach(missing)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if len(a.wire) == 0 {
		return reply, nil
	}
	if err := b.send(&bootwire.Request{Seq: req.Seq, Type: bootwire.Add, Attachments: a.wire}); err != nil {
		for _, n := range a.notes {
			m.release(n)
		}
		return nil, err
	}
	reply.Sent = true
	reply.Attachments = append(reply.Attachments, a.notes...)
	return reply, b.update(func(d *Description) { d.Attachments = append(d.Attachments, a.notes...) })
}

// split returns what of t is not attached, and adds to reply what is.
func (b *box) split(t *Things, reply *Attachments) *Things {
	have := b.description().Attachments
	missing := &Things{}
	take := func(kind uint8, id string) bool {
		i := slices.IndexFunc(have, func(a Attachment) bool { return a.Kind == kind && a.ID == id })
		if i >= 0 {
			reply.Attachments = append(reply.Attachments, have[i])
		}
		return i >= 0
	}
	for _, id := range t.Disks {
		if !take(KindDisk, id) {
			missing.Disks = append(missing.Disks, id)
		}
	}
	for _, id := range t.Uppers {
		if !take(KindUpper, id) {
			missing.Uppers = append(missing.Uppers, id)
		}
	}
	for _, id := range t.Volumes {
		if !take(KindVolume, id) {
			missing.Volumes = append(missing.Volumes, id)
		}
	}
	for _, s := range t.Shares {
		if !take(KindShare, s.Tag) {
			missing.Shares = append(missing.Shares, s)
		}
	}
	return missing
}

var wireKinds = map[uint8]bootwire.Kind{
	KindDisk: bootwire.Disk, KindUpper: bootwire.Upper, KindVolume: bootwire.Volume, KindShare: bootwire.Share,
}

// remove asks the agent to let go; removed forgets the attachments when it has.
func (m *Manager) remove(ctx context.Context, req *Change) (wire.Message, error) {
	return m.take(ctx, req, func(b *box, found []Attachment) (bool, error) {
		r := &bootwire.Request{Seq: req.Seq, Type: bootwire.Remove}
		for _, a := range found {
			r.Attachments = append(r.Attachments, bootwire.Attachment{Kind: wireKinds[a.Kind], ID: a.ID, Ref: a.Ref, IsDir: a.IsDir})
		}
		return true, b.send(r)
	})
}

func (m *Manager) removed(ctx context.Context, req *Change) (wire.Message, error) {
	return m.take(ctx, req, func(b *box, found []Attachment) (bool, error) {
		for _, a := range found {
			m.release(a)
		}
		return false, b.update(func(d *Description) {
			d.Attachments = slices.DeleteFunc(d.Attachments, func(a Attachment) bool { return slices.Contains(found, a) })
		})
	})
}

// take calls f with those of the named things that are attached, if any.
func (m *Manager) take(ctx context.Context, req *Change, f func(*box, []Attachment) (bool, error)) (wire.Message, error) {
	if err := req.Things.check(); err != nil {
		return nil, err
	}
	b, err := m.find(req.Ref)
	if err != nil {
		return nil, err
	}
	if err := m.locks.Lock(ctx, b.id); err != nil {
		return nil, err
	}
	defer m.locks.Unlock(b.id)
	reply := &Attachments{}
	b.split(&req.Things, reply)
	if len(reply.Attachments) == 0 {
		return reply, nil
	}
	reply.Sent, err = f(b, reply.Attachments)
	return reply, err
}
