//go:build !linux

package relay

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// poller is the runtime's.
type poller struct{}

func newPoller() (*poller, error) { return &poller{}, nil }

func (*poller) close() error { return nil }

// descriptor of a link, which the runtime's poller watches.
type descriptor struct {
	file *os.File
	raw  syscall.RawConn
}

// open takes over f.
func (l *link) open(f *os.File) error {
	fd, err := duplicateFile(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	l.fd, l.file = fd, os.NewFile(uintptr(fd), "link")
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		return errors.Join(fmt.Errorf("watch descriptor: %w", err), l.file.Close())
	}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return errors.Join(err, l.file.Close())
	}
	return nil
}

// watch begins to read.
func (l *link) watch() error {
	l.running.Go(func() {
		more := true
		for more && l.raw.Read(func(uintptr) bool {
			full := false
			more, full = l.receiveBatch()
			return full || !more
		}) == nil {
		}
	})
	return nil
}

// shut closes a link that nobody writes to any more; its reader wakes up.
func (l *link) shut() error { return l.file.Close() }

// writable gives what waits until the descriptor takes frames again.
func (l *link) writable() (syscall.RawConn, *os.File, error) { return l.raw, nil, nil }
