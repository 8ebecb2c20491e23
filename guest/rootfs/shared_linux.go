package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// SharedMemory is where processes share memory by name.
const SharedMemory = "/dev/shm"

// Share stages what the process pid has mounted at its /dev/shm, so that the container of r shares it. A staged one
// of an earlier run goes.
func (r *Root) Share(pid int) error {
	point := filepath.Join(r.Dir, "shm")
	s := Staged{Kind: guestv1.Mount_BIND, Destination: SharedMemory, Source: point, IsDir: true, Options: []string{"nosuid", "nodev", "noexec", "rprivate"}}
	for i, m := range r.Mounts {
		if m.Destination != SharedMemory {
			continue
		}
		if m.Source != point {
			return nil // A mount that was asked for hides it.
		}
		if err := unmount(point); err != nil {
			return err
		}
		r.Mounts = slices.Delete(r.Mounts, i, i+1)
		break
	}
	tree, err := foreign(pid, SharedMemory)
	if err != nil {
		return fmt.Errorf("share memory with process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(tree) }()
	if err := makePoint(point, true); err != nil {
		return fmt.Errorf("share memory: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, point, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("share memory: move mount: %w", err)
	}
	r.Mounts = append(r.Mounts, s)
	return nil
}

// foreign clones the mount at path as the process pid sees it. A mount can be cloned only within its namespace, so a
// thread enters that of the process and ends there.
func foreign(pid int, path string) (tree int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		tree, err = cloneWithin(pid, path)
	}()
	<-done
	return tree, err
}

func cloneWithin(pid int, path string) (tree int, err error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	ns, err := os.Open(dir + "/ns/mnt")
	if err != nil {
		return -1, err
	}
	defer func() { _ = ns.Close() }()
	root, err := os.Open(dir + "/root")
	if err != nil {
		return -1, err
	}
	defer func() { _ = root.Close() }()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("enter mount namespace: %w", err)
	}
	fd, err := OpenIn(int(root.Fd()), path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	tree, err = unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return -1, fmt.Errorf("clone mount: %w", err)
	}
	return tree, nil
}
