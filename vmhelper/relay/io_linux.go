package relay

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readFD reads a frame from a non-blocking descriptor. The call never sleeps, so the scheduler is not told of it.
func readFD(fd int, p []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return 0, errnoError(e)
	}
	return int(n), nil
}

// writeFD writes a frame to a non-blocking descriptor.
func writeFD(fd int, p []byte) error {
	_, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return errnoError(e)
	}
	return nil
}

// errnoError makes no garbage of what happens all the time.
func errnoError(e unix.Errno) error {
	switch e {
	case unix.EAGAIN:
		return errAgain
	case unix.ENOBUFS:
		return errNoBuffers
	case unix.EINTR:
		return errInterrupted
	}
	return e
}

// setUp makes a TAP what o says; whoever re-opened it may have got the kernel's defaults.
func setUp(fd int, o LinkOptions) error {
	if o.VnetHeader == 0 {
		return nil
	}
	err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, o.VnetHeader)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return nil // No TAP.
	}
	if err != nil {
		return fmt.Errorf("set header: %w", err)
	}
	var offloads int
	if o.Checksums {
		offloads |= unix.TUN_F_CSUM
	}
	if o.Segments {
		offloads |= unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return fmt.Errorf("set offloads: %w", err)
	}
	return nil
}

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return n, unix.SetNonblock(n, true)
}
