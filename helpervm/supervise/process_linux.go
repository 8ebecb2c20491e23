package supervise

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// confine puts a child into a process group of its own, so that a signal to ours does not reach it, and has the kernel
// kill it when its parent dies.
func confine(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func holdThread() (release func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
