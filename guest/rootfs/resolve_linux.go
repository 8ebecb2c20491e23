package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenIn opens name, resolved as if root were the root directory: no link leads out of it.
func OpenIn(root int, name string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(root, relative(name), &how)
		if (err == unix.EAGAIN || err == unix.EINTR) && tries < 128 { // A rename somewhere disturbed the walk.
			continue
		}
		return fd, err
	}
}

func relative(name string) string {
	if name = strings.TrimLeft(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// OpenRoot opens a directory that the agent itself names.
func OpenRoot(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// MakeDirIn makes the directory name and its missing parents below root, each owned by uid and gid when it is new, and
// returns a descriptor of it.
func MakeDirIn(root int, name string, mode uint32, uid, gid int) (int, error) {
	fd, err := OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, base := path.Split(path.Clean("/" + name))
	up, err := MakeDirIn(root, parent, mode, uid, gid)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(up) }()
	if err := unix.Mkdirat(up, base, mode); err != nil && err != unix.EEXIST {
		return -1, err
	} else if err == nil {
		if err := unix.Fchownat(up, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return -1, err
		}
		if err := chmodAt(up, base, mode); err != nil {
			return -1, err
		}
	}
	return OpenIn(root, name, unix.O_PATH|unix.O_DIRECTORY)
}

// chmodAt sets the mode of a directory that was just made, whatever the umask.
func chmodAt(dir int, base string, mode uint32) error {
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Fchmod(fd, mode)
}

// fdPath names an open descriptor for calls that want a path.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
