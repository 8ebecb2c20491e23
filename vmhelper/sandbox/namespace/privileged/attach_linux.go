package privileged

import (
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/bootwire"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/loop"
)

// attached is what a change made: what the agent is sent, and what is recorded.
type attached struct {
	wire  []bootwire.Attachment
	notes []Attachment
}

func (a *attached) close() {
	for _, w := range a.wire {
		if w.File != nil {
			_ = w.File.Close()
		}
	}
}

// attach opens everything that t names. On failure nothing stays taken.
func (m *Manager) attach(t *Things) (a *attached, err error) {
	a = &attached{}
	defer func() {
		if err != nil {
			a.close()
			for _, n := range a.notes {
				m.release(n)
			}
		}
	}()
	for _, id := range t.Disks {
		dev, err := m.loops.Acquire(id, func() (*os.File, error) { return m.openDisk(id) })
		if err != nil {
			return a, err
		}
		a.disk(id, dev)
	}
	for _, id := range t.Uppers {
		if err := m.attachStore(a, Store{ID: id}); err != nil {
			return a, err
		}
	}
	for _, id := range t.Volumes {
		if err := m.attachStore(a, Store{Volume: true, ID: id}); err != nil {
			return a, err
		}
	}
	for _, s := range t.Shares {
		if err := m.attachShare(a, s); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a *attached) disk(id string, dev loop.Device) {
	ref := "block:" + dev.Path
	a.wire = append(a.wire, bootwire.Attachment{Kind: bootwire.Disk, ID: id, Ref: ref, ReadOnly: true, Major: dev.Major, Minor: dev.Minor})
	a.notes = append(a.notes, Attachment{Kind: KindDisk, ID: id, Ref: ref})
}

func (m *Manager) attachStore(a *attached, s Store) error {
	f, err := m.openStore(s)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	mnt, err := cloneMount(f, false, false)
	if err != nil {
		return err
	}
	kind, wireKind, ref := KindUpper, bootwire.Upper, "dir:/arca/uppers/"+s.ID
	if s.Volume {
		kind, wireKind, ref = KindVolume, bootwire.Volume, "dir:/arca/volumes/"+s.ID
	}
	m.hold(s)
	a.wire = append(a.wire, bootwire.Attachment{Kind: wireKind, ID: s.ID, Ref: ref, IsDir: true, File: mnt})
	a.notes = append(a.notes, Attachment{Kind: kind, ID: s.ID, Ref: ref, IsDir: true})
	return nil
}

func (m *Manager) attachShare(a *attached, s Share) error {
	f, st, err := m.owner.open(s.Path, s.Create)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	mnt, err := cloneMount(f, isDir, s.ReadOnly)
	if err != nil {
		return err
	}
	how := "file:"
	if isDir {
		how = "dir:"
	}
	ref := how + "/arca/shares/" + s.Tag
	a.wire = append(a.wire, bootwire.Attachment{Kind: bootwire.Share, ID: s.Tag, Ref: ref, IsDir: isDir, ReadOnly: s.ReadOnly, File: mnt})
	a.notes = append(a.notes, Attachment{Kind: KindShare, ID: s.Tag, Ref: ref, IsDir: isDir})
	return nil
}

// openStore opens the directory of an upper, made if absent, or that of a volume.
func (m *Manager) openStore(s Store) (*os.File, error) {
	parent, name := m.uppers, s.ID
	if s.Volume {
		parent, name = m.volumes, s.ID+"/_data"
	} else if err := unix.Mkdirat(int(parent.Fd()), name, 0o700); err != nil && err != unix.EEXIST {
		return nil, classify(&os.PathError{Op: "make upper", Path: s.ID, Err: err})
	}
	fd, err := unix.Openat2(int(parent.Fd()), name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("volume %s does not exist: %w", s.ID, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, classify(&os.PathError{Op: "open store", Path: s.ID, Err: err})
	}
	return os.NewFile(uintptr(fd), name), nil
}
