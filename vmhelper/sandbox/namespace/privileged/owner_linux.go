package privileged

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"unsafe"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/thread"
)

// owner is the user whose rights open bind sources.
type owner struct {
	uid, gid uint32
	groups   []uint32
}

func findOwner(uid uint32) (owner, error) {
	o := owner{uid: uid, gid: uid}
	if uid == 0 {
		return o, nil
	}
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return o, fmt.Errorf("find the instance's owner: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return o, fmt.Errorf("find the instance's owner: %w", err)
	}
	o.gid = uint32(gid)
	gs, err := u.GroupIds()
	if err != nil {
		return o, fmt.Errorf("find the groups of the instance's owner: %w", err)
	}
	for _, g := range gs {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			o.groups = append(o.groups, uint32(n))
		}
	}
	return o, nil
}

// do calls f on a thread that has the owner's effective credentials and no capability, and that ends with it. The real
// and saved uid stay root's, so the owner can neither signal nor trace the keeper meanwhile.
func (o owner) do(f func() error) error {
	if o.uid == 0 {
		return f()
	}
	return thread.Run(func() error {
		if err := o.become(); err != nil {
			return err
		}
		return f()
	})
}

// become uses raw system calls: the wrappers of the standard library would change every thread.
func (o owner) become() error {
	var p unsafe.Pointer
	if len(o.groups) > 0 {
		p = unsafe.Pointer(&o.groups[0])
	}
	const keep = ^uintptr(0)
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(o.groups)), uintptr(p), 0); e != 0 {
		return fmt.Errorf("take the owner's groups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, keep, uintptr(o.gid), keep); e != 0 {
		return fmt.Errorf("take the owner's group: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(o.uid), keep); e != 0 {
		return fmt.Errorf("take the owner's uid: %w", e)
	}
	return nil
}

// open opens a bind source as a place (O_PATH), provided that the owner may read it.
func (o owner) open(path string, create bool) (f *os.File, st unix.Stat_t, err error) {
	err = o.do(func() error {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && create {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return classify(err)
			}
			fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return classify(&fs.PathError{Op: "open", Path: path, Err: err})
		}
		f = os.NewFile(uintptr(fd), path)
		if err := unix.Fstat(fd, &st); err != nil {
			return classify(&fs.PathError{Op: "stat", Path: path, Err: err})
		}
		mode := uint32(unix.R_OK)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			mode |= unix.X_OK
		}
		if err := unix.Faccessat(unix.AT_FDCWD, procFD(fd), mode, unix.AT_EACCESS); err != nil {
			return classify(&fs.PathError{Op: "access", Path: path, Err: err})
		}
		return nil
	})
	if err != nil && f != nil {
		_ = f.Close()
		f = nil
	}
	return f, st, err
}

// kind tells what a bind source is.
func (o owner) kind(path string) (uint64, error) {
	var st unix.Stat_t
	err := o.do(func() error { return unix.Stat(path, &st) })
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		return BindAbsent, nil
	case err != nil:
		return 0, classify(&fs.PathError{Op: "stat", Path: path, Err: err})
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return BindDirectory, nil
	case unix.S_IFREG:
		return BindFile, nil
	case unix.S_IFSOCK:
		return BindSocket, nil
	}
	return BindOther, nil
}

// connect connects to a unix socket. The other side sees the owner's uid.
func (o owner) connect(path string) (*os.File, error) {
	var f *os.File
	err := o.do(func() error {
		place, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(place) }()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		// The path may be longer than an address; a full queue is an answer too (EAGAIN).
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: procFD(place)}); err != nil {
			_ = unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), path)
		return nil
	})
	if err != nil {
		return nil, classify(&fs.PathError{Op: "connect", Path: path, Err: err})
	}
	return f, nil
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// classify marks what the file system says with what it means to the caller.
func classify(err error) error {
	for _, c := range []struct{ is, class error }{
		{fs.ErrNotExist, errdefs.ErrNotFound},
		{unix.ENOTDIR, errdefs.ErrNotFound},
		{unix.ELOOP, errdefs.ErrInvalidArgument},
		{fs.ErrPermission, errdefs.ErrPermissionDenied},
		{unix.ECONNREFUSED, errdefs.ErrUnavailable},
		{unix.EAGAIN, errdefs.ErrUnavailable},
		{unix.ENOSPC, errdefs.ErrResourceExhausted},
	} {
		if errors.Is(err, c.is) {
			return fmt.Errorf("%w: %w", err, c.class)
		}
	}
	return err
}
