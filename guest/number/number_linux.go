package number

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Host translates for a sandbox that is no machine of its own. A nil one has nothing to translate: its numbers are the
// host's, or nobody outside has others.
type Host struct{ dir int }

// Open opens the host's view of this process, through a /proc that is the host's.
func Open(proc string) (*Host, error) {
	fd, err := unix.Open(proc+"/self/fdinfo", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the host's view: %w", err)
	}
	return &Host{fd}, nil
}

// Close closes the view.
func (h *Host) Close() error { return unix.Close(h.dir) }

// OfDescriptor returns the host's number of the process that a process descriptor is of, or 0 if it has gone.
func (h *Host) OfDescriptor(pidfd int) int {
	fd, err := unix.Openat(h.dir, strconv.Itoa(pidfd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	var buf [512]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0
	}
	return parse(buf[:n])
}

func parse(info []byte) int {
	for line := range bytes.Lines(info) {
		if v, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 32)
			if err != nil || n < 0 { // -1: it was waited for.
				return 0
			}
			return int(n)
		}
	}
	return 0
}

// Of returns the host's number of a process, or 0 if it has gone.
func (h *Host) Of(pid int) int {
	if h == nil || pid <= 0 {
		return max(pid, 0)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	return h.OfDescriptor(fd)
}
