package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	arm(t, "dir:"+dir)
	if err := Hit("a/b"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName("a/b"))
	if err := os.WriteFile(path, []byte("1-1*error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} {
		if err := Hit("a/b"); errors.Is(err, ErrInjected) != want {
			t.Errorf("hit %d: %v", i, err)
		}
	}
	if err := os.WriteFile(path, []byte("1*error"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Hit("a/b"); !errors.Is(err, ErrInjected) {
		t.Error("not armed again")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file that armed the point is still there")
	}
	if _, err := os.Stat(path + ".fired"); err != nil {
		t.Error(err)
	}
}

func TestInherit(t *testing.T) {
	dir := t.TempDir()
	arm(t, "dir:"+dir)
	for name, action := range map[string]string{"guest/a": "error", "guest/b-c": "1*kill", "other": "error"} {
		if err := os.WriteFile(filepath.Join(dir, FileName(name)), []byte(action), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := Inherit("guest/"); got != "guest/a=error;guest/b-c=1*kill" {
		t.Error(got)
	}
	if got := Inherit("guest/"); got != "" {
		t.Error("passed on twice: " + got)
	}
	if err := Hit("other"); !errors.Is(err, ErrInjected) {
		t.Error(err)
	}
}
