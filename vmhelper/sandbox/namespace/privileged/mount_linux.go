package privileged

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// cloneMount makes a detached mount of what f is open on. With submounts, theirs come along, and what the host mounts
// there later is seen too, but never the other way round.
func cloneMount(f *os.File, submounts, readOnly bool) (*os.File, error) {
	flags := uint(unix.AT_EMPTY_PATH | unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	at := uint(unix.AT_EMPTY_PATH)
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if submounts {
		flags |= unix.AT_RECURSIVE
		at |= unix.AT_RECURSIVE
		attr.Propagation = unix.MS_SLAVE
	}
	if readOnly {
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.OpenTree(int(f.Fd()), "", flags)
	if err != nil {
		return nil, fmt.Errorf("clone mount of %s: %w", f.Name(), err)
	}
	if err := unix.MountSetattr(fd, "", at, &attr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set attributes of mount of %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
