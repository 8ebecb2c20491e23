package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Child is a process that is watched.
type Child struct {
	Pid   int
	pidfd *os.File
	own   bool // it is a child of this process, to be reaped.
}

func watch(pid, pidfd int) (*Child, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		_ = unix.Close(pidfd)
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return &Child{Pid: pid, pidfd: os.NewFile(uintptr(pidfd), "pidfd")}, nil
}

// Adopt watches a process that an earlier keeper started. It fails with ErrGone when pid is not that process.
func Adopt(pid int, startTime uint64) (*Child, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("adopt process %d: %w", pid, ErrGone)
	}
	c, err := watch(pid, fd)
	if err != nil {
		return nil, err
	}
	// The pidfd is open, so from here on the pid cannot come to mean another process unnoticed.
	if t, err := StartTime(pid); err != nil || t != startTime {
		_ = c.Close()
		return nil, fmt.Errorf("adopt process %d: %w", pid, ErrGone)
	}
	return c, nil
}

// StartTime returns when a process started, in ticks since the machine did.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may contain anything: the fields are counted after its end.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return 0, fmt.Errorf("read start time of process %d: too few fields", pid)
	}
	if f[0][0] == 'Z' || f[0][0] == 'X' {
		return 0, ErrGone
	}
	return strconv.ParseUint(string(f[19]), 10, 64)
}

// Signal sends a signal. One that has ended is no error.
func (c *Child) Signal(sig unix.Signal) error {
	rc, err := c.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := rc.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if serr == unix.ESRCH {
		serr = nil
	}
	return serr
}

// Wait waits for the end of the child, reaps it, and tells in a few words how it ended. Call it once.
func (c *Child) Wait() (string, error) {
	rc, err := c.pidfd.SyscallConn()
	if err != nil {
		return "", err
	}
	status := "it ended"
	var werr error
	err = rc.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
			return false
		}
		if c.own {
			status, werr = c.reap()
		}
		return true
	})
	if err == nil {
		err = werr
	}
	return status, err
}

func (c *Child) reap() (string, error) {
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(c.Pid, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "it ended", err
		case ws.Signaled():
			return "it was killed by " + unix.SignalName(ws.Signal()), nil
		}
		return "it exited with status " + strconv.Itoa(ws.ExitStatus()), nil
	}
}

// Descriptor copies a descriptor out of the child.
func (c *Child) Descriptor(n int) (*os.File, error) {
	rc, err := c.pidfd.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, ferr := -1, error(nil)
	if err := rc.Control(func(p uintptr) { fd, ferr = unix.PidfdGetfd(int(p), n, 0) }); err != nil {
		return nil, err
	}
	if ferr != nil {
		return nil, fmt.Errorf("copy descriptor %d of process %d: %w", n, c.Pid, ferr)
	}
	return os.NewFile(uintptr(fd), "copied"), nil
}

// Close forgets the child without ending it.
func (c *Child) Close() error { return c.pidfd.Close() }

// EnterNetwork moves the calling thread into the network namespace of the child.
func (c *Child) EnterNetwork() error {
	rc, err := c.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := rc.Control(func(fd uintptr) { serr = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
		return err
	}
	if serr != nil {
		return fmt.Errorf("enter network namespace of process %d: %w", c.Pid, serr)
	}
	return nil
}
