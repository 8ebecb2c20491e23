package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/arca/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shell(t *testing.T, script string, onChange func(State)) Job {
	t.Helper()
	log := NewLog(filepath.Join(t.TempDir(), "job.log"))
	t.Cleanup(func() { _ = log.Close() })
	return Job{Name: "job", Binary: "/bin/sh", Args: []string{"-c", script}, Env: Environment("/"), Grace: func() time.Duration { return 5 * time.Second },
		Log: log, OnChange: onChange, Backoff: Backoff{First: time.Millisecond, Most: 2 * time.Millisecond, Settled: time.Hour}}
}

func TestRestartsUntilStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var ends []string
	job := shell(t, "echo out; exit 3", func(s State) {
		if s.LastEnd != "" && s.Daemon.PID == 0 {
			ends = append(ends, s.LastEnd)
		}
		if s.Restarts == 4 {
			cancel(nil)
		}
	})
	if err := Run(ctx, job); err != nil {
		t.Fatal(err)
	}
	if len(ends) != 4 || ends[0] != "exit status 3" {
		t.Errorf("ends %q", ends)
	}
	b, err := os.ReadFile(job.Log.Path)
	if err != nil || strings.Count(string(b), "out\n") != 4 {
		t.Errorf("log %q, %v", b, err)
	}
}

func TestStopWaits(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	job := shell(t, `trap 'echo yes > `+marker+`; exit 0' TERM; echo ready; while :; do read x < /dev/null; done`, nil)
	job.OnChange = func(State) {
		go func() { // stop once the trap is set
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
				if b, _ := os.ReadFile(job.Log.Path); strings.Contains(string(b), "ready") {
					break
				}
			}
			cancel(nil)
		}()
	}
	if err := Run(ctx, job); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("the daemon did not end before Run returned: %v", err)
	}
}

func TestStopKillsAfterGrace(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	job := shell(t, `trap '' TERM; while :; do read x < /dev/null; done`, func(State) { cancel(nil) })
	job.Grace = func() time.Duration { return 200 * time.Millisecond }
	start := time.Now()
	_ = Run(ctx, job)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("the stop took %s", d)
	}
}

func TestBackoff(t *testing.T) {
	b := Backoff{First: 50 * time.Millisecond, Most: 300 * time.Millisecond}
	for n, want := range map[int]time.Duration{1: 0, 2: 50 * time.Millisecond, 3: 100 * time.Millisecond, 4: 200 * time.Millisecond, 5: 300 * time.Millisecond, 90: 300 * time.Millisecond} {
		if got := b.Delay(n); got != want {
			t.Errorf("Delay(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	run := t.TempDir()
	release, err := Lock(run, "job")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(run, "job"); !errors.Is(err, ErrRunning) {
		t.Errorf("a second lock: %v", err)
	}
	if err := Write(run, "job", State{Restarts: 7}); err != nil {
		t.Fatal(err)
	}
	if s, running, err := Read(run, "job"); err != nil || running || s.Restarts != 7 {
		t.Errorf("Read = %+v, %v, %v", s, running, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if again, err := Lock(run, "job"); err != nil {
		t.Errorf("after release: %v", err)
	} else if err := again(); err != nil {
		t.Errorf("release without a state file: %v", err)
	}
}

func TestLogRotates(t *testing.T) {
	l := &Log{Path: filepath.Join(t.TempDir(), "x.log"), MaxBytes: 10, Keep: 2}
	defer func() { _ = l.Close() }()
	for _, line := range []string{"aaaaaaaa\n", "bbbbbbbb\n", "cccccccc\n", "dddddddd\n"} {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	for suffix, want := range map[string]string{"": "dddddddd\n", ".1": "cccccccc\n", ".2": "bbbbbbbb\n"} {
		if b, err := os.ReadFile(l.Path + suffix); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", suffix, b, err)
		}
	}
	if _, err := os.Stat(l.Path + ".3"); err == nil {
		t.Error("more old files than Keep")
	}
}

// TestLockOfOneThatWasKilled: the lock of a killed supervisor is held for a moment after its end can be seen, and who took
// that for another supervisor left the job without any.
func TestLockOfOneThatWasKilled(t *testing.T) {
	run := t.TempDir()
	dying, err := Lock(run, "job")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = dying() })
	release, err := LockWhenGone(t.Context(), run, "job")
	if err != nil {
		t.Fatal(err)
	}
	self, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(run, "job", State{Supervisor: self}); err != nil {
		t.Fatal(err)
	}
	if _, err := LockWhenGone(t.Context(), run, "job"); !errors.Is(err, ErrRunning) {
		t.Errorf("beside one that runs: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
