package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func arm(t *testing.T, spec string) {
	t.Helper()
	if err := Arm(spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Arm("") })
}

func TestCounts(t *testing.T) {
	for spec, want := range map[string]string{
		"a=error":     "eeee",
		"a=2*error":   "ee..",
		"a=1-error":   ".eee",
		"a=1-2*error": ".ee.",
		"b=error":     "....",
	} {
		arm(t, spec)
		got := ""
		for range 4 {
			switch err := Hit("a"); {
			case errors.Is(err, ErrInjected):
				got += "e"
			case err == nil:
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

func TestDelayAndPanic(t *testing.T) {
	arm(t, "a=delay:20ms;b=panic")
	start := time.Now()
	if err := Hit("a"); err != nil || time.Since(start) < 20*time.Millisecond {
		t.Error(err, time.Since(start))
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_ = Hit("b")
}

func TestKill(t *testing.T) {
	if os.Getenv(Env) != "" {
		_ = Hit("k")
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), Env+"=k=kill")
	_ = cmd.Run()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Error(cmd.ProcessState)
	}
}

func TestMistakesAreTold(t *testing.T) {
	for _, spec := range []string{"a", "=error", "a=explode", "a=x*error", "a=-1*error", "a=delay:x", "a=y-kill"} {
		if Arm(spec) == nil {
			t.Errorf("%q was taken", spec)
		}
	}
	_ = Arm("")
}

func BenchmarkDisarmed(b *testing.B) {
	for b.Loop() {
		_ = Hit("a")
	}
}
