package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"unsafe"
)

// readyDescriptor is a pipe of the agent, which waits there until the program runs and its signals are passed on.
const readyDescriptor = 3

func run() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fail(1, "no program was named")
	}
	syscall.CloseOnExec(readyDescriptor)
	children := make(chan os.Signal, 1) // One is enough: reap takes all.
	signal.Notify(children, syscall.SIGCHLD)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	child := start(args)
	ready()
	for {
		select {
		case <-children:
			reap(child)
		case s := <-signals:
			switch n := s.(syscall.Signal); n {
			case syscall.SIGCHLD, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG: // SIGURG is the Go runtime's own.
			default:
				_ = syscall.Kill(child, n) // It may have ended; its exit follows.
			}
		}
	}
}

// ready tells the agent. Whoever else starts this program may have given no descriptor, or another thing.
func ready() {
	var st syscall.Stat_t
	if syscall.Fstat(readyDescriptor, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO {
		_, _ = syscall.Write(readyDescriptor, []byte{1}) // Without a reader nobody waits.
		_ = syscall.Close(readyDescriptor)
	}
}

// start starts the program in a process group of its own, in the foreground where there is a terminal.
func start(args []string) int {
	path, err := exec.LookPath(args[0])
	if err == nil {
		attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
		if terminal(0) {
			attr.Sys.Foreground, attr.Sys.Ctty = true, 0
		}
		var pid int
		if pid, err = syscall.ForkExec(path, args, attr); err == nil {
			return pid
		}
	}
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		code = 127
	}
	fail(code, "exec "+args[0]+" failed: "+err.Error())
	return 0
}

func terminal(fd uintptr) bool {
	var pgrp int32
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&pgrp)))
	return e == 0
}

// reap collects all that have ended, and exits when the child has.
func reap(child int) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if pid == child {
			if ws.Signaled() {
				os.Exit(128 + int(ws.Signal()))
			}
			os.Exit(ws.ExitStatus())
		}
	}
}

func fail(code int, why string) {
	_, _ = os.Stderr.WriteString("arca-init: " + why + "\n")
	os.Exit(code)
}
