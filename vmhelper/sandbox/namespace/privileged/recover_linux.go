package privileged

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/vmhelper/keeper/child"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/cgroup"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/loop"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/tree"
)

// recover adopts the sandboxes that an earlier keeper left running and removes what is left of others.
func (m *Manager) recover() error {
	names, err := readNames(m.sandboxes)
	if err != nil {
		return fmt.Errorf("find sandboxes: %w", err)
	}
	left := m.groups.Leftovers()
	for _, id := range names {
		if checkID("sandbox", id) != nil {
			continue
		}
		err := m.adopt(id)
		if err == nil {
			delete(left, id)
			continue
		}
		m.cfg.Log.Info("reaping a sandbox of an earlier keeper", "sandbox", id, "reason", err)
		if left[id] == nil {
			left[id] = &cgroup.Group{}
		}
	}
	for id, g := range left {
		if checkID("sandbox", id) != nil {
			continue
		}
		if err := m.reap(id, g); err != nil {
			return fmt.Errorf("reap sandbox %s: %w", id, err)
		}
	}
	return m.removeHalfDeleted()
}

// removeHalfDeleted finishes the removal of trees that an earlier keeper began.
func (m *Manager) removeHalfDeleted() error {
	for _, dir := range []*os.File{m.sandboxes, m.uppers, m.volumes} {
		names, err := readNames(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			if strings.HasPrefix(n, tree.Removing) {
				if err := tree.Remove(dir, n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *Manager) reap(id string, g *cgroup.Group) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	if err := errors.Join(g.Kill(), g.Remove(ctx)); err != nil {
		return err
	}
	return tree.Remove(m.sandboxes, id)
}

// adopt takes up one sandbox. An error says why it cannot be, and then nothing of it was taken.
func (m *Manager) adopt(id string) (err error) {
	fd, err := unix.Openat(int(m.sandboxes.Fd()), id, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	b := &box{m: m, id: id, dir: os.NewFile(uintptr(fd), id), done: make(chan struct{}), shown: true}
	defer func() {
		if err == nil {
			return
		}
		_ = b.dir.Close()
		if b.child != nil {
			_ = b.child.Close()
		}
		if b.boot != nil {
			_ = b.boot.Close()
		}
		m.store.DropAll(bootPrefix(id))
	}()
	rec, err := readRecord(b.dir)
	switch {
	case err != nil:
		return err
	case rec.Description.ID != id || rec.MachineBoot != m.boot:
		return errors.New("its record is of another boot of the machine")
	case !rec.Description.Ready:
		return errors.New("it had not finished booting")
	}
	b.rec, b.bootID = *rec, rec.Description.BootID
	b.group = &cgroup.Group{Dirs: rec.Groups}
	if b.child, err = child.Adopt(int(rec.Description.Pid), rec.StartTime); err != nil {
		return err
	}
	if err := m.storeAgent(b); err != nil {
		return err
	}
	m.adoptBoot(b)
	if err := m.adoptAttachments(b); err != nil {
		return err
	}
	m.adoptLinks(b)
	m.boxes[id] = b
	m.wg.Go(b.watch)
	m.cfg.Log.Info("adopted a sandbox", "sandbox", id, "pid", b.child.Pid)
	return nil
}

// adoptBoot takes the host's end of the boot socket back out of the agent. What is found there is as hostile as the
// agent: it is used as a socket or not at all. Without it the sandbox runs on, but nothing can be added to it.
func (m *Manager) adoptBoot(b *box) {
	f, err := b.child.Descriptor(bootwire.HostDescriptor)
	if err == nil {
		defer func() { _ = f.Close() }()
		var typ int
		if typ, err = unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_TYPE); err == nil && typ != unix.SOCK_SEQPACKET {
			err = errors.New("it is another kind of descriptor")
		}
	}
	if err == nil {
		err = m.storeBoot(b, f)
	}
	if err != nil {
		m.cfg.Log.Warn("an adopted agent kept no boot socket", "sandbox", b.id, "error", err)
	}
}

func (m *Manager) adoptAttachments(b *box) error {
	for i, a := range b.rec.Description.Attachments {
		var err error
		switch a.Kind {
		case KindDisk:
			err = m.adoptDisk(a)
		case KindUpper, KindVolume:
			m.hold(Store{Volume: a.Kind == KindVolume, ID: a.ID})
		}
		if err != nil {
			for _, a := range b.rec.Description.Attachments[:i] {
				m.release(a)
			}
			return err
		}
	}
	return nil
}

func (m *Manager) adoptDisk(a Attachment) error {
	path := strings.TrimPrefix(a.Ref, "block:")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("adopt disk %s: %w", a.ID, err)
	}
	dev := loop.Device{Path: path, Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev))}
	return m.loops.Adopt(a.ID, dev, func() (*os.File, error) { return m.openDisk(a.ID) })
}
