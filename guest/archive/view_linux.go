package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/rootfs"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// tree is a mount that goes into a view.
type tree struct {
	fd          int
	destination string
	dir         bool
}

// Inside runs f on a thread whose root directory is the container's. f MUST NOT start goroutines that touch files.
func Inside(root *rootfs.Root, f func() error) error {
	trees, err := cloneTrees(root)
	defer func() {
		for _, t := range trees {
			_ = unix.Close(t.fd)
		}
	}()
	if err != nil {
		return fmt.Errorf("open view: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // Never unlocked: the thread ends with its namespace.
		if err := enter(root, trees); err != nil {
			done <- fmt.Errorf("open view: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

func cloneTrees(root *rootfs.Root) (trees []tree, err error) {
	for _, m := range root.Mounts {
		if m.Kind != guestv1.Mount_BIND {
			continue
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return trees, fmt.Errorf("clone mount of %s: %w", m.Destination, err)
		}
		trees = append(trees, tree{fd, m.Destination, m.IsDir})
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
		if m.ReadOnly || m.RecursiveRO {
			attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return trees, fmt.Errorf("set attributes of mount at %s: %w", m.Destination, err)
		}
	}
	return trees, nil
}

// enter makes the calling thread's root directory the container's.
func enter(root *rootfs.Root, trees []tree) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	unix.Umask(0)
	if err := unix.Chroot(root.Path); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("change directory: %w", err)
	}
	for _, t := range trees {
		if err := t.mount(); err != nil {
			return fmt.Errorf("mount %s: %w", t.destination, err)
		}
	}
	return nil
}

func (t tree) mount() error {
	fd, err := unix.Open(t.destination, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := t.makePoint(); err != nil {
			return err
		}
		fd, err = unix.Open(t.destination, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.MoveMount(t.fd, "", fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

func (t tree) makePoint() error {
	if t.dir {
		return os.MkdirAll(t.destination, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(t.destination), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(t.destination, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
