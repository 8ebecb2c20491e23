package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/continuity/fs"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// MaxFile bounds an injected file.
const MaxFile = 1 << 20

func (b *Builder) stageMounts(r *Root, mounts []*guestv1.Mount) error {
	for i, m := range mounts {
		if !filepath.IsAbs(m.Destination) {
			return fmt.Errorf("mount at %q: the destination is not absolute: %w", m.Destination, errdefs.ErrInvalidArgument)
		}
		s := Staged{Kind: m.Kind, Destination: filepath.Clean(m.Destination), ReadOnly: m.ReadOnly, Recursive: !m.NonRecursive, RecursiveRO: m.RecursiveReadOnly, Options: m.Options}
		point := filepath.Join(r.Dir, fmt.Sprintf("m%d", i))
		var err error
		switch m.Kind {
		case guestv1.Mount_BIND:
			err = b.stageBind(r, m, &s, point)
		case guestv1.Mount_TMPFS:
			s.IsDir = true
		case guestv1.Mount_SOCKET:
			s.Source, s.SocketID = point, m.SocketId
			s.SocketUID, s.SocketGID, s.SocketMode = int(m.SocketUid), int(m.SocketGid), os.FileMode(m.SocketMode).Perm()
		default:
			err = fmt.Errorf("kind %d: %w", m.Kind, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return fmt.Errorf("mount at %s: %w", m.Destination, err)
		}
		r.Mounts = append(r.Mounts, s)
	}
	return nil
}

// stageBind clones the mount of the source to point.
func (b *Builder) stageBind(r *Root, m *guestv1.Mount, s *Staged, point string) error {
	source, err := b.use(r, m.Ref, writable)
	if err != nil {
		return err
	}
	fd, err := unix.Open(source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if m.Subpath != "" {
		sub, err := OpenIn(fd, m.Subpath, unix.O_PATH)
		if errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("subpath %s does not exist in the volume: %w", m.Subpath, errdefs.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("open subpath %s: %w", m.Subpath, err)
		}
		_ = unix.Close(fd)
		fd = sub
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at source: %w", err)
	}
	s.IsDir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	if m.CopyUp && s.IsDir {
		if err := copyUp(r, s.Destination, fd); err != nil {
			return fmt.Errorf("fill from the image: %w", err)
		}
	}
	return stage(fd, point, s)
}

// stage mounts a clone of what fd names at point.
func stage(fd int, point string, s *Staged) error {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(fd, "", flags)
	if err != nil {
		return fmt.Errorf("clone mount: %w", err)
	}
	defer func() { _ = unix.Close(tree) }()
	if err := makePoint(point, s.IsDir); err != nil {
		return err
	}
	s.Source = point
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, point, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("stage mount: %w", err)
	}
	return nil
}

func makePoint(path string, dir bool) error {
	if dir {
		if err := os.Mkdir(path, 0o755); !os.IsExist(err) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// copyUp fills an empty volume with what the image has at its destination, and gives it that directory's owner and mode.
func copyUp(r *Root, destination string, volume int) error {
	names, err := os.ReadDir(fdPath(volume))
	if err != nil || len(names) > 0 {
		return err
	}
	root, err := OpenRoot(r.Path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	fd, err := OpenIn(int(root.Fd()), destination, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	// The links end in a slash-dot so that the directories themselves are meant.
	return fs.CopyDir(fdPath(volume)+"/.", fdPath(fd)+"/.")
}

// stageFiles writes the injected files, which live on the container's disk, and stages them as mounts.
func stageFiles(r *Root, files []*guestv1.File) error {
	dir := filepath.Join(r.Area, "files")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, f := range files {
		if len(f.Content) > MaxFile || !filepath.IsAbs(f.Path) {
			return fmt.Errorf("file %q of %d bytes: %w", f.Path, len(f.Content), errdefs.ErrInvalidArgument)
		}
		destination := filepath.Clean(f.Path)
		if slices.ContainsFunc(r.Mounts, func(s Staged) bool { return s.Destination == destination }) {
			continue // A mount that was asked for hides it.
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, f.Content, 0o600); err != nil {
			return err
		}
		if err := os.Chmod(path, os.FileMode(f.Mode&0o7777)); err != nil {
			return err
		}
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		s := Staged{Kind: guestv1.Mount_BIND, Destination: destination, Options: []string{"rprivate"}, Injected: true}
		err = stage(fd, filepath.Join(r.Dir, fmt.Sprintf("f%d", i)), &s)
		_ = unix.Close(fd)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		r.Mounts = append(r.Mounts, s)
	}
	return nil
}
