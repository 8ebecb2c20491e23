package main

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine gives up, for every thread and for ever, what a set-user-ID program could give.
func confine() error {
	if _, _, err := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != 0 {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return nil
}
