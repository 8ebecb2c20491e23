package supervisor

import (
	"os/exec"
	"path/filepath"
	"syscall"
)

// command prepares the daemon's process; macOS cannot execute a descriptor, so the daemon's uid must reach the path.
func command(job Job) (*exec.Cmd, func(), error) {
	cmd := &exec.Cmd{
		Path:        job.Binary,
		Args:        append([]string{filepath.Base(job.Binary)}, job.Args...),
		Env:         job.Env,
		Dir:         "/",
		Stdout:      job.Log,
		WaitDelay:   outputDelay,
		Stderr:      job.Log,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if job.RunAs != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: job.RunAs.UID, Gid: job.RunAs.GID, Groups: job.RunAs.Groups}
	}
	return cmd, func() {}, nil
}
