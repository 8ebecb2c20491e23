package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readyTimeout bounds how long a start waits for its program, which then is started all the same.
const readyTimeout = 5 * time.Second

// readiness tells when a signal would meet the program of a container: runc returns when its own process in the container
// has been told to become the program, and until it has, a signal is lost or ends that process.
type readiness struct {
	read, write *os.File // of a pipe that the init of a container writes to; nil: it has none.
}

// newReadiness prepares for the start of a container with an init or without.
func newReadiness(init bool) (*readiness, error) {
	r := &readiness{}
	if !init {
		return r, nil
	}
	var err error
	if r.read, r.write, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("wait for init: %w", err)
	}
	return r, nil
}

// files are what runc passes on.
func (r *readiness) files() []*os.File {
	if r.write == nil {
		return nil
	}
	return []*os.File{r.write}
}

// close ends the waiting.
func (r *readiness) close() error {
	if r.write == nil {
		return nil
	}
	return errors.Join(r.read.Close(), r.write.Close())
}

// wait returns when the program of the process runs, or has ended.
func (r *readiness) wait(ctx context.Context, pid int) {
	if r.write == nil {
		awaitProgram(ctx, pid)
		return
	}
	_ = r.write.Close() // The container has the other one; it ends with the init at the latest.
	defer context.AfterFunc(ctx, func() { _ = r.read.SetReadDeadline(time.Unix(1, 0)) })()
	_ = r.read.SetReadDeadline(time.Now().Add(readyTimeout))
	_, _ = r.read.Read(make([]byte, 1))
}

// runcInit is how runc's process in a container calls itself.
const runcInit = "runc:[2:INIT]"

// awaitProgram looks until the process is another program than runc, which takes it some microseconds on an idle
// machine. No event tells of it: everything that ends with the exec of a process is inside of the container.
func awaitProgram(ctx context.Context, pid int) {
	path := fmt.Sprintf("/proc/%d/comm", pid)
	pause := 20 * time.Microsecond
	for end := time.Now().Add(readyTimeout); time.Now().Before(end); pause = min(2*pause, time.Millisecond) {
		if name, err := readComm(path); err != nil || name != runcInit {
			return
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

func readComm(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	var b [64]byte
	n, err := unix.Read(fd, b[:])
	return strings.TrimSuffix(string(b[:max(n, 0)]), "\n"), err
}
