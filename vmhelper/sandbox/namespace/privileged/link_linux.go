package privileged

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// makeLinks makes the links of a starting sandbox, on one thread for all of them, and stores them.
func (m *Manager) makeLinks(b *box, links []Link) error {
	return inNetwork(b.child.EnterNetwork, func() error {
		for i := range links {
			if err := m.makeLink(b, &links[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeLink makes a link in the network namespace of the calling thread. It persists there, so that it survives being
// moved into the namespace of a container while nobody holds its descriptor; it goes with its namespace. l learns the
// address that the kernel chose: by it the link is found again.
func (m *Manager) makeLink(b *box, l *Link) error {
	f, err := openTAP(l.Name)
	if err == nil {
		if err = configureTAP(l); err == nil {
			return m.store.Put(LinkName(b.id, l.Name), f)
		}
		_ = errors.Join(setPersistence(f, false), f.Close())
	}
	return fmt.Errorf("make link %s: %w", l.Name, err)
}

// addLink makes a link in a running sandbox. One that is there is left alone.
func (m *Manager) addLink(ctx context.Context, req *LinkChange) (wire.Message, error) {
	if err := checkLink(req.Link); err != nil {
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
	l := req.Link
	have := b.description().Links
	i := slices.IndexFunc(have, func(h Link) bool { return h.Name == l.Name })
	if i >= 0 && m.linkLives(b, l.Name) {
		return &have[i], nil
	}
	if i < 0 && len(have) >= maxLinks {
		return nil, fmt.Errorf("a sandbox has at most %d links: %w", maxLinks, errdefs.ErrResourceExhausted)
	}
	if l.MTU == 0 {
		l.MTU = LinkMTU
	}
	made := []Link{l}
	if err := m.makeLinks(b, made); err != nil {
		return nil, classify(err)
	}
	l = made[0]
	return &l, b.update(func(d *Description) {
		d.Links = slices.DeleteFunc(d.Links, func(h Link) bool { return h.Name == l.Name })
		d.Links = append(d.Links, l)
	})
}

// removeLink takes a link away, wherever in the sandbox it is by now. Its interface goes when the worker has closed its
// copy of the descriptor, too.
func (m *Manager) removeLink(ctx context.Context, req *LinkChange) (wire.Message, error) {
	b, err := m.find(req.Ref)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := m.locks.Lock(ctx, b.id); err != nil {
		return nil, err
	}
	defer m.locks.Unlock(b.id)
	is := func(l Link) bool { return l.Name == req.Link.Name }
	if !slices.ContainsFunc(b.description().Links, is) {
		return nil, nil
	}
	name := LinkName(b.id, req.Link.Name)
	if f, err := m.store.Get(name); err == nil {
		// Whoever holds it last removes it. One whose namespace has gone is gone already.
		if err := setPersistence(f, false); err != nil && !errors.Is(err, unix.EBADFD) {
			return nil, fmt.Errorf("remove link %s: %w", req.Link.Name, err)
		}
	}
	if err := m.store.Drop(name); err != nil {
		return nil, fmt.Errorf("remove link %s: %w", req.Link.Name, err)
	}
	return nil, b.update(func(d *Description) { d.Links = slices.DeleteFunc(d.Links, is) })
}

// linkLives tells whether a link's interface is there: it goes with a container's network namespace.
func (m *Manager) linkLives(b *box, name string) bool {
	f, err := m.store.Get(LinkName(b.id, name))
	if err != nil {
		return false
	}
	_, err = interfaceName(f)
	return err == nil
}

// adoptLinks opens the links of an adopted sandbox again, in whichever of its network namespaces they are now. What is
// found there is as hostile as its containers: an interface is taken by its address, or by its name in the agent's own
// namespace, and is a link of this sandbox or none.
func (m *Manager) adoptLinks(b *box) {
	missing := slices.Clone(b.rec.Description.Links)
	if len(missing) == 0 {
		return
	}
	take := func(byName bool) func() error {
		return func() error {
			return eachInterface(func(name string, address []byte) {
				i := slices.IndexFunc(missing, func(l Link) bool {
					return bytes.Equal(l.MAC, address) || byName && l.Name == name
				})
				if i < 0 {
					return
				}
				f, err := reopenTAP(name, address)
				if err == nil {
					err = m.store.Put(LinkName(b.id, missing[i].Name), f)
				}
				if err != nil {
					m.cfg.Log.Debug("an interface is no link", "sandbox", b.id, "interface", name, "error", err)
					return
				}
				missing = slices.Delete(missing, i, i+1)
			})
		}
	}
	err := inNetwork(b.child.EnterNetwork, take(false))
	if len(missing) > 0 {
		err = errors.Join(err, m.eachPinned(b, take(false)))
	}
	if len(missing) > 0 {
		err = errors.Join(err, inNetwork(b.child.EnterNetwork, take(true)))
	}
	if err != nil {
		m.cfg.Log.Warn("look for links", "sandbox", b.id, "error", err)
	}
	for _, l := range missing {
		// It went with the namespace of a container, or was being removed.
		m.cfg.Log.Info("a link is gone", "sandbox", b.id, "link", l.Name)
	}
	b.rec.Description.Links = slices.DeleteFunc(b.rec.Description.Links, func(l Link) bool {
		return slices.ContainsFunc(missing, func(g Link) bool { return g.Name == l.Name })
	})
}

// eachPinned calls f in each network namespace that the agent has pinned for a container.
func (m *Manager) eachPinned(b *box, f func() error) error {
	dir, err := openPins(b.child.Pid)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open pinned networks: %w", err)
	}
	defer func() { _ = dir.Close() }()
	names, err := readNames(dir)
	if err != nil {
		return fmt.Errorf("list pinned networks: %w", err)
	}
	var errs []error
	for _, n := range names[:min(len(names), maxPins)] {
		ns, err := openPin(dir, n)
		if err != nil {
			continue // It is not pinned any more, or was no namespace.
		}
		errs = append(errs, inNetwork(func() error { return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET) }, f), ns.Close())
	}
	return errors.Join(errs...)
}

// openPins opens the directory in which the agent of a process pins network namespaces. Nothing in its root is trusted:
// no link of it is followed out of it.
func openPins(pid int) (*os.File, error) {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat2(root, pinned, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), pinned), nil
}

func openPin(dir *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err = unix.Fstatfs(fd, &fs); err == nil && fs.Type != unix.NSFS_MAGIC {
		err = unix.EINVAL
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
