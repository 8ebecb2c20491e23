package number

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOf(t *testing.T) {
	h, err := Open("/proc") // Here the host's numbers are the sandbox's.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if got := h.Of(os.Getpid()); got != os.Getpid() {
		t.Errorf("this process is %d, not %d", got, os.Getpid())
	}
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if got := h.OfDescriptor(fd); got != cmd.Process.Pid { // Ended or not: nobody has waited for it.
		t.Errorf("the child is %d, not %d", got, cmd.Process.Pid)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := h.OfDescriptor(fd); got != 0 {
		t.Errorf("a child that has gone is %d", got)
	}
	if got := h.Of(cmd.Process.Pid); got != 0 {
		t.Errorf("a number that is no process' is %d", got)
	}
	if got := (*Host)(nil).Of(7); got != 7 {
		t.Errorf("without a host 7 is %d", got)
	}
}

func TestParse(t *testing.T) {
	for info, want := range map[string]int{
		"pos:\t0\nflags:\t02\nPid:\t4711\nNSpid:\t4711\t5\n": 4711,
		"Pid:\t-1\n": 0, "Pid:\t\n": 0, "Pid:\t99999999999\n": 0, "": 0, "NSpid:\t5\n": 0,
	} {
		if got := parse([]byte(info)); got != want {
			t.Errorf("%q: %d, expected %d", info, got, want)
		}
	}
}
