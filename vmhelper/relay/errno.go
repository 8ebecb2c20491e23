package relay

import (
	"golang.org/x/sys/unix"
)

// Boxed once: they happen all the time.
var (
	errAgain       error = unix.EAGAIN
	errNoBuffers   error = unix.ENOBUFS
	errInterrupted error = unix.EINTR
)

// These are asked of what readFD and writeFD return, which is a bare errno.
func wouldBlock(err error) bool  { return isErrno(err, unix.EAGAIN) }
func noBuffers(err error) bool   { return isErrno(err, unix.ENOBUFS) }
func interrupted(err error) bool { return isErrno(err, unix.EINTR) }

func isErrno(err error, e unix.Errno) bool {
	got, ok := err.(unix.Errno) //nolint:errorlint // never wrapped, and on the way of every frame.
	return ok && got == e
}
