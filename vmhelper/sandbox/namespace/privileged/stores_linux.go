package privileged

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/wire"
	"github.com/arca-engine/arca/vmhelper/sandbox/namespace/tree"
)

func (s Store) check() error {
	if s.Volume {
		return checkName(s.ID)
	}
	return checkID("upper", s.ID)
}

func (m *Manager) parent(s Store) *os.File {
	if s.Volume {
		return m.volumes
	}
	return m.uppers
}

func (m *Manager) createVolume(_ context.Context, req *After) (wire.Message, error) {
	if err := checkName(req.ID); err != nil {
		return nil, err
	}
	parent := int(m.volumes.Fd())
	for _, d := range []struct {
		name string
		mode uint32
	}{{req.ID, 0o711}, {req.ID + "/_data", 0o755}} {
		if err := unix.Mkdirat(parent, d.name, d.mode); err != nil && err != unix.EEXIST {
			return nil, classify(&os.PathError{Op: "create volume", Path: req.ID, Err: err})
		}
	}
	return nil, nil
}

func (m *Manager) removeStore(_ context.Context, req *Store) (wire.Message, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	users := m.used[*req]
	m.mu.Unlock()
	if users > 0 {
		return nil, fmt.Errorf("%s is in use by a sandbox: %w", req.ID, errdefs.ErrFailedPrecondition)
	}
	if err := tree.Remove(m.parent(*req), req.ID); err != nil {
		return nil, classify(err)
	}
	return nil, nil
}

func (m *Manager) usageStore(_ context.Context, req *Store) (wire.Message, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	n, err := tree.Usage(m.parent(*req), req.ID)
	if err != nil {
		return nil, classify(err)
	}
	return &Number{n}, nil
}

func (m *Manager) listStores(_ context.Context, req *Store) (wire.Message, error) {
	names, err := readNames(m.parent(*req))
	if err != nil {
		return nil, fmt.Errorf("list stores: %w", err)
	}
	var ids []string
	for _, n := range names {
		if n > req.ID && (Store{Volume: req.Volume, ID: n}).check() == nil {
			ids = append(ids, n)
		}
	}
	slices.Sort(ids)
	return &IDs{ids[:min(len(ids), pageSize)]}, nil
}

// readNames lists a directory through a descriptor of its own, so that listings do not disturb each other.
func readNames(dir *os.File) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

func (m *Manager) releaseDisk(_ context.Context, req *After) (wire.Message, error) {
	if err := checkID("disk", req.ID); err != nil {
		return nil, err
	}
	return nil, m.loops.Forget(req.ID)
}
