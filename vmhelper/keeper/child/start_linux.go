package child

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/vmhelper/keeper/thread"
)

// Start starts a child.
func Start(s Spec) (*Child, error) {
	var c *Child
	begin := func() (err error) {
		c, err = start(s)
		return err
	}
	run := thread.Run // What confines a child and where it is placed is first done to the thread that starts it.
	if !s.Confine && len(s.Tasks) == 0 {
		run = func(f func() error) error { return f() }
	}
	if err := run(begin); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	return c, nil
}

func start(s Spec) (*Child, error) {
	if err := enter(s.Tasks); err != nil {
		return nil, err
	}
	pidfd := -1
	sys := &syscall.SysProcAttr{Setsid: true, Cloneflags: s.Cloneflags, PidFD: &pidfd}
	if s.Cgroup != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(s.Cgroup.Fd())
	}
	if s.Confine {
		if err := confine(s.Caps); err != nil {
			return nil, err
		}
		sys.Credential = &syscall.Credential{Uid: s.UID, Gid: s.GID}
		sys.AmbientCaps = s.Caps
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: s.Env, Sys: sys}
	for _, f := range s.Files {
		attr.Files = append(attr.Files, f.Fd())
	}
	pid, err := syscall.ForkExec(s.Path, s.Args, attr)
	runtime.KeepAlive(s.Files)
	runtime.KeepAlive(s.Cgroup)
	if err != nil {
		return nil, err
	}
	c, err := watch(pid, pidfd)
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
		return nil, err
	}
	c.own = true
	return c, nil
}

// enter moves this thread into version 1 groups. A thread that moves itself ("0") needs no lock of all processes, so
// it costs microseconds where moving the child afterwards costs milliseconds, and the child is never outside.
func enter(tasks []string) error {
	for _, path := range tasks {
		if err := writeExisting(path, "0"); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

func writeExisting(path, s string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// confine limits what this thread's children can ever have.
func confine(caps []uintptr) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if slices.Contains(caps, c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL { // An older kernel has fewer.
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}
