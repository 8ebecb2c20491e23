package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// command prepares the daemon's process. The binary is executed through its descriptor, so that a checkout below a
// directory that the daemon's uid may not enter (root's home, 0700) still works.
func command(job Job) (*exec.Cmd, func(), error) {
	binary, err := os.Open(job.Binary)
	if err != nil {
		return nil, nil, fmt.Errorf("open binary: %w", err)
	}
	const first = 3 // where os/exec puts the first extra file
	cmd := &exec.Cmd{
		Path:       fmt.Sprintf("/proc/self/fd/%d", first),
		Args:       append([]string{filepath.Base(job.Binary)}, job.Args...),
		Env:        job.Env,
		Dir:        "/",
		Stdout:     job.Log,
		WaitDelay:  outputDelay,
		Stderr:     job.Log,
		ExtraFiles: []*os.File{binary},
		SysProcAttr: &syscall.SysProcAttr{
			// As a crash of its own would: SIGTERM would say that the instance ends, and stop the containers.
			Pdeathsig: syscall.SIGKILL,
			Setpgid:   true, // a terminal's ^C reaches the supervisor alone
		},
	}
	if job.RunAs != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: job.RunAs.UID, Gid: job.RunAs.GID, Groups: job.RunAs.Groups}
	}
	return cmd, func() { _ = binary.Close() }, nil
}
