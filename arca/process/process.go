package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ID names one process for ever: a pid alone is reused.
type ID struct {
	PID int `json:"pid"`
	// Start is the kernel's start time of the process, opaque, compared for equality alone.
	Start string `json:"start"`
}

// Of tells the ID of a running process.
func Of(pid int) (ID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Start: start}, nil
}

// Self tells the ID of the calling process.
func Self() (ID, error) { return Of(os.Getpid()) }

// Alive tells whether the process still runs. A zombie does not.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	start, err := startTime(id.PID)
	return err == nil && start == id.Start
}

// Signal sends a signal to the process if it still runs; a process that has ended is no error.
func (id ID) Signal(s syscall.Signal) error {
	if !id.Alive() {
		return nil
	}
	err := syscall.Kill(id.PID, s)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}
