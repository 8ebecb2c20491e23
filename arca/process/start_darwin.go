package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func startTime(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	const zombie = 5
	if int(info.Proc.P_pid) != pid || info.Proc.P_stat == zombie {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	t := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
