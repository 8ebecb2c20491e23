package process

import (
	"os/exec"
	"syscall"
	"testing"
)

func TestID(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Error("the calling process is not alive")
	}
	if (ID{PID: self.PID, Start: self.Start + "1"}).Alive() {
		t.Error("a process with another start time passes for this one")
	}
	if (ID{}).Alive() {
		t.Error("no process is alive")
	}
}

func TestEndedProcessIsNotAlive(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if id.Alive() {
		t.Error("a killed process is alive")
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("signal to an ended process: %v", err)
	}
}
