//go:build !linux

package relay

import (
	"golang.org/x/sys/unix"
)

func readFD(fd int, p []byte) (int, error) { return unix.Read(fd, p) }

func writeFD(fd int, p []byte) error {
	_, err := unix.Write(fd, p)
	return err
}

// setUp has nothing to do: a link is a datagram socket.
func setUp(int, LinkOptions) error { return nil }

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return n, unix.SetNonblock(n, true)
}
