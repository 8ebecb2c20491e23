package tree

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// heldFlags are FS_IMMUTABLE_FL and FS_APPEND_FL of linux/fs.h.
const heldFlags = 0x10 | 0x20

const (
	maxDepth = 64  // of open directories while removing: deeper ones are moved up first.
	maxCount = 256 // of open directories while measuring: what lies deeper is not counted.
)

// Removing begins the names of deep directories that were moved up while their tree is removed. Where one is found
// later, a removal was cut short.
const Removing = ".removing-"

func openDir(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOATIME,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Remove removes name below dir with everything in it. An absent one is no error.
func Remove(dir *os.File, name string) error {
	r := &remover{root: int(dir.Fd())}
	if err := r.remove(r.root, name, 0); err != nil {
		return fmt.Errorf("remove tree: %w", err)
	}
	for r.moved > r.done {
		r.done++
		if err := r.remove(r.root, r.name(name, r.done), 0); err != nil {
			return fmt.Errorf("remove tree: %w", err)
		}
	}
	return nil
}

type remover struct {
	root        int
	moved, done int
	base        string
}

func (r *remover) name(base string, n int) string {
	return Removing + strings.TrimPrefix(base, Removing) + "-" + strconv.Itoa(n)
}

func (r *remover) remove(dir int, name string, depth int) error {
	if depth == 0 && r.base == "" {
		r.base = name
	}
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EPERM) && loosen(dir, name) {
		err = unix.Unlinkat(dir, name, 0)
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return &os.PathError{Op: "unlink", Path: name, Err: err}
	}
	switch err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); {
	case err == nil, errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
	default:
		return &os.PathError{Op: "rmdir", Path: name, Err: err}
	}
	if depth >= maxDepth {
		r.moved++
		if err := unix.Renameat(dir, name, r.root, r.name(r.base, r.moved)); err != nil {
			return &os.PathError{Op: "rename", Path: name, Err: err}
		}
		return nil
	}
	d, err := openDir(dir, name)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	for {
		names, err := d.Readdirnames(512)
		for _, n := range names {
			if err := r.remove(int(d.Fd()), n, depth+1); err != nil {
				return err
			}
		}
		if len(names) == 0 || err != nil {
			break
		}
		// Some file systems skip entries when others are removed while reading.
		if _, err := d.Seek(0, 0); err != nil {
			return err
		}
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "rmdir", Path: name, Err: err}
	}
	return nil
}

// loosen takes away the attributes that keep an entry, or what is in it, from being removed: a privileged container may
// have set them (chattr). It tells whether it took any away. Links and special files cannot have them, and are not opened.
func loosen(dir int, name string) bool {
	var st unix.Stat_t
	if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&heldFlags == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^heldFlags)) == nil
}

// Usage measures the bytes that name below dir takes on disk, each file once.
func Usage(dir *os.File, name string) (uint64, error) {
	u := &usage{seen: map[[2]uint64]struct{}{}}
	d, err := openDir(int(dir.Fd()), name)
	if err != nil {
		return 0, fmt.Errorf("measure tree: %w", err)
	}
	defer func() { _ = d.Close() }()
	u.walk(d, 0)
	return u.bytes, nil
}

type usage struct {
	bytes uint64
	seen  map[[2]uint64]struct{} // files with several links.
}

// walk adds up d. The tree may be in use: what vanishes under it or cannot be entered counts nothing.
func (u *usage) walk(d *os.File, depth int) {
	for {
		names, err := d.Readdirnames(512)
		for _, n := range names {
			u.entry(d, n, depth)
		}
		if len(names) == 0 || err != nil {
			return
		}
	}
}

func (u *usage) entry(d *os.File, name string, depth int) {
	var st unix.Stat_t
	if unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Nlink > 1 && !isDir {
		key := [2]uint64{uint64(st.Dev), st.Ino}
		if _, ok := u.seen[key]; ok {
			return
		}
		u.seen[key] = struct{}{}
	}
	if !isDir {
		u.bytes += uint64(st.Blocks) * 512
		return
	}
	if depth+1 >= maxCount {
		return
	}
	sub, err := openDir(int(d.Fd()), name)
	if err != nil {
		if !errors.Is(err, unix.EXDEV) {
			u.bytes += uint64(st.Blocks) * 512
		}
		return
	}
	defer func() { _ = sub.Close() }()
	u.bytes += uint64(st.Blocks) * 512
	u.walk(sub, depth+1)
}
