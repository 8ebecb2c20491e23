package supervise

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func run(t *testing.T, children ...Child) (*Supervisor, func()) {
	t.Helper()
	s := New(hclog.NewNullLogger(), children...)
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	stop := func() { cancel(nil); <-ended }
	t.Cleanup(stop)
	return s, stop
}

// await waits until a child's status is as wanted: another process's doing, which tells nobody.
func await(t *testing.T, s *Supervisor, name string, wanted func(Status) bool) Status {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, st := range s.Status() {
			if st.Name == name && wanted(st) {
				return st
			}
		}
	}
	t.Fatalf("%s: %+v", name, s.Status())
	return Status{}
}

func TestRestart(t *testing.T) {
	s, stop := run(t, Child{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}})
	first := await(t, s, "sleep", func(st Status) bool { return st.PID != 0 })
	begun := time.Now()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := await(t, s, "sleep", func(st Status) bool { return st.PID != 0 && st.PID != first.PID })
	if took := time.Since(begun); took > time.Second || second.Restarts != 1 {
		t.Errorf("after %v: %+v", took, second)
	}
	s.Restart("sleep") // As for one that hangs.
	third := await(t, s, "sleep", func(st Status) bool { return st.PID != 0 && st.PID != second.PID })
	stop()
	if err := syscall.Kill(third.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a child outlives its supervisor: %v", err)
	}
}

// TestDyingChild: one that ends again and again is not started again and again without a pause.
func TestDyingChild(t *testing.T) {
	s, stop := run(t, Child{Name: "false", Path: "/bin/false"}, Child{Name: "missing", Path: "/nowhere"}, Child{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}})
	await(t, s, "false", func(st Status) bool { return st.Restarts == 3 && st.Problem != "" })
	if st := await(t, s, "missing", func(st Status) bool { return st.Restarts > 0 }); st.Problem == "" || st.Restarts > 10 {
		t.Errorf("missing: %+v", st)
	}
	await(t, s, "sleep", func(st Status) bool { return st.PID != 0 && st.Restarts == 0 })
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > stopGrace {
		t.Errorf("the end takes %v", took)
	}
}

// TestStubbornChild: one that does not heed its signal is killed.
func TestStubbornChild(t *testing.T) {
	s, stop := run(t, Child{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; while :; do sleep 1000; done"}})
	st := await(t, s, "sh", func(st Status) bool { return st.PID != 0 })
	time.Sleep(50 * time.Millisecond) // The trap is set by then, or the signal ends the child: either is right.
	stop()
	if err := syscall.Kill(st.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it lives: %v", err)
	}
}
