package bootwire

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// HostDescriptor is a copy of vmhelper's own end of the boot socket that the agent merely keeps open: a keeper that
// starts anew finds it there (pidfd_getfd) and so can go on speaking to a sandbox that outlived its predecessor. It is
// never read by the agent and never reaches a child.
const HostDescriptor = 5

// Inherit takes up what vmhelper gave to this process: the boot socket and the listener. It marks every inherited
// descriptor close-on-exec, so no child of the agent gets one.
func Inherit() (*Conn, *net.UnixListener, error) {
	for _, fd := range []int{BootDescriptor, ListenerDescriptor, HostDescriptor} {
		unix.CloseOnExec(fd)
	}
	conn, err := New(os.NewFile(BootDescriptor, "boot"))
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(ListenerDescriptor, "listener")
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("open agent listener: %w", err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		_ = conn.Close()
		return nil, nil, fmt.Errorf("open agent listener: %w: it is a %T", ErrProtocol, l)
	}
	return conn, ul, nil
}
