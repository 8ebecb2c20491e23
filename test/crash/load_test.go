//go:build integration

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// load is what runs while parts of the instance are killed: writers of known output, everybody who waits for them, and
// containers whose duties must go on.
type load struct {
	t       *testing.T
	writers []*writer
	always  string
	healthy string
	exec    string
	wg      sync.WaitGroup
	cancel  context.CancelCauseFunc
}

// writer is a container with known output and exit code.
type writer struct {
	name           string
	stdout, stderr string
	code           string
}

// The writers' scripts take seconds for what is written in them: a fast one, a slow one, one of bytes that are no text.
const (
	fastLines, slowLines, binaryLines = 40000, 60, 3000

	fastScript   = `i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; [ $((i %% 10)) -ne 0 ] || echo e$i >&2; [ $((i %% 4000)) -ne 0 ] || sleep 0.2; done; exit 5`
	slowScript   = `i=0; while [ $i -lt %d ]; do i=$((i+1)); echo slow $i; sleep 0.1; done; exit 6`
	binaryScript = `i=0; while [ $i -lt %d ]; do i=$((i+1)); printf '\000\377\376\r%%d\n' $i; [ $((i %% 500)) -ne 0 ] || sleep 0.3; done; exit 7`
)

func startLoad(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &load{t: t, cancel: cancel}
	t.Cleanup(func() { cancel(nil); l.wg.Wait() })
	l.always = arca.Start(t, "--restart", "always", "busybox", "sh", "-c", "sleep 0.5; exit 3")
	l.healthy = arca.Sleeper(t, "--health-cmd", "true", "--health-interval", "300ms", "--health-timeout", "20s")
	l.exec = arca.Sleeper(t)
	arca.Docker(t, "exec", "-d", l.exec, "sh", "-c", "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo $i >> /progress; sleep 0.1; done").OK()
	l.writer("5", "fast", fmt.Sprintf(fastScript, fastLines), func(out, errs *strings.Builder) {
		for i := 1; i <= fastLines; i++ {
			fmt.Fprintln(out, i)
			if i%10 == 0 {
				fmt.Fprintf(errs, "e%d\n", i)
			}
		}
	})
	l.writer("6", "slow", fmt.Sprintf(slowScript, slowLines), func(out, _ *strings.Builder) {
		for i := 1; i <= slowLines; i++ {
			fmt.Fprintf(out, "slow %d\n", i)
		}
	})
	l.writer("7", "binary", fmt.Sprintf(binaryScript, binaryLines), func(out, _ *strings.Builder) {
		for i := 1; i <= binaryLines; i++ {
			fmt.Fprintf(out, "\x00\xff\xfe\r%d\n", i)
		}
	})
	for _, w := range l.writers {
		for _, args := range [][]string{{"logs", "-f", w.name}, {"attach", "--no-stdin", "--sig-proxy=false", w.name}} {
			l.wg.Go(func() { l.follow(ctx, w, args) })
		}
		l.wg.Go(func() { l.wait(ctx, w) })
	}
	return l
}

func (l *load) writer(code, what, script string, fill func(out, errs *strings.Builder)) {
	l.t.Helper()
	var out, errs strings.Builder
	fill(&out, &errs)
	flags := []string{}
	if what == "binary" {
		flags = append(flags, "--log-driver", "local")
	}
	name := arca.Start(l.t, append(flags, "busybox", "sh", "-c", script)...)
	l.writers = append(l.writers, &writer{name: name, stdout: out.String(), stderr: errs.String(), code: code})
}

// follow runs a client again as often as its connection dies. What `logs -f` shows is a beginning of what was written,
// and all of it when it ends by itself; an attached client sees a contiguous part.
func (l *load) follow(ctx context.Context, w *writer, args []string) {
	for ctx.Err() == nil {
		var out, errs bytes.Buffer
		cmd := arca.Command(ctx, args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if ctx.Err() != nil {
			return
		}
		cut := strings.Contains(errs.String(), "daemon") || strings.Contains(errs.String(), "EOF") || strings.Contains(errs.String(), "reset")
		switch got := out.String(); {
		case args[0] == "attach":
			if !strings.Contains(w.stdout, got) {
				l.t.Errorf("%v saw %d bytes that were not written so", args, len(got))
			}
		case !strings.HasPrefix(w.stdout, got):
			l.t.Errorf("%v: %s", args, firstDifference(w.stdout, got))
		case err == nil && !cut && got == w.stdout:
			return
		}
		if args[0] == "attach" && strings.Contains(errs.String(), "stopped container") {
			return
		}
		// A client whose connection died, or whose daemon is not there yet, comes again.
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wait asks for the exit code until the answer is one.
func (l *load) wait(ctx context.Context, w *writer) {
	for ctx.Err() == nil {
		out, err := arca.Command(ctx, "wait", w.name).Output()
		if err == nil && strings.TrimSpace(string(out)) != "" {
			if got := strings.TrimSpace(string(out)); got != w.code {
				l.t.Errorf("wait for %s told %s, want %s", w.name, got, w.code)
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check waits for the writers' ends and checks every byte, and that every duty goes on.
func (l *load) check() {
	l.t.Helper()
	for _, w := range l.writers {
		harness.Eventually(l.t, 2*time.Minute, func() error {
			ctx, cancel := context.WithTimeout(l.t.Context(), harness.CommandTimeout)
			defer cancel()
			out, err := arca.Command(ctx, "wait", w.name).CombinedOutput()
			if err != nil {
				return fmt.Errorf("wait for %s: %w: %s", w.name, err, out)
			}
			if got := strings.TrimSpace(string(out)); got != w.code {
				return fmt.Errorf("%s ended with %s, want %s", w.name, got, w.code)
			}
			return nil
		})
		r := arca.Docker(l.t, "logs", w.name).OK()
		for _, s := range []struct{ what, want, got string }{{"stdout", w.stdout, r.Stdout}, {"stderr", w.stderr, r.Stderr}} {
			if s.got != s.want {
				l.t.Errorf("%s of %s has %d bytes, %d were written: %s", s.what, w.name, len(s.got), len(s.want), firstDifference(s.want, s.got))
			}
		}
	}
	ended := make(chan struct{})
	go func() { l.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		l.t.Error("a follower, an attached client or a wait does not end")
		l.cancel(nil)
		<-ended
	}
	before := arca.Inspect(l.t, l.always, "{{.RestartCount}}")
	harness.Eventually(l.t, 2*time.Minute, func() error { // its back-off has grown meanwhile
		if now := arca.Inspect(l.t, l.always, "{{.RestartCount}}"); number(now) <= number(before) {
			return fmt.Errorf("restarted %s times, and before %s times", now, before)
		}
		return nil
	})
	harness.Eventually(l.t, 20*time.Second, func() error {
		if got := arca.Inspect(l.t, l.healthy, "{{.State.Health.Status}}"); got != "healthy" {
			return errors.New("health is " + got)
		}
		return nil
	})
	harness.Eventually(l.t, 20*time.Second, func() error {
		if got := len(arca.Docker(l.t, "exec", l.exec, "cat", "/progress").OK().Lines()); got != 50 {
			return fmt.Errorf("the exec has written %d lines", got)
		}
		return nil
	})
	arca.Docker(l.t, "rm", "-f", l.always).OK()
	arca.Audit(l.t)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// rounds tells how often a storm kills.
func rounds(n int) int {
	if scale, err := strconv.ParseFloat(os.Getenv("ARCA_SOAK"), 64); err == nil && scale >= 1 {
		return 5 * n
	}
	return n
}

// TestKilledUnderLoad kills daemons one at a time and together, at random moments.
func TestKilledUnderLoad(t *testing.T) {
	worker := func() int { return arca.Worker(t) }
	for what, together := range map[string][]func() int{
		"frontend":                    {frontend},
		"worker":                      {worker},
		"keeper":                      {keeper},
		"frontend and worker":         {frontend, worker},
		"frontend and keeper":         {frontend, keeper},
		"frontend, worker and keeper": {worker, frontend, keeper},
	} {
		t.Run(what, func(t *testing.T) {
			l := startLoad(t)
			for range rounds(3) {
				time.Sleep(time.Duration(rand.IntN(1200)) * time.Millisecond) // a random moment is the point
				for _, find := range together {
					harness.Eventually(t, 20*time.Second, func() error {
						if find() == 0 {
							return errors.New("a daemon is not there to be killed")
						}
						return nil
					})
				}
				for _, find := range together {
					if pid := find(); pid > 1 {
						if p, err := os.FindProcess(pid); err == nil {
							_ = p.Kill() // it may have died of the one before
						}
					}
				}
			}
			harness.Eventually(t, harness.CommandTimeout, func() error { return arca.Command(t.Context(), "version").Run() })
			l.check()
		})
	}
}

// TestSupervisorsKilled: with the supervisors dead, and with them their daemons, `arca up` finds containers running.
func TestSupervisorsKilled(t *testing.T) {
	l := startLoad(t)
	pids := []int{arca.SupervisorPID("frontend"), arca.SupervisorPID("vmhelper")}
	for _, pid := range pids {
		harness.Kill(t, "a supervisor", pid)
	}
	harness.Eventually(t, 20*time.Second, func() error { return arca.Up(t.Context()) })
	l.check()
}

// TestMachineCrash: everything of the instance is killed at one moment, as by the machine's end.
func TestMachineCrash(t *testing.T) {
	volume := arca.Volume(t)
	always := arca.Sleeper(t, "--restart", "always", "-v", volume+":/data")
	unless := arca.Sleeper(t, "--restart", "unless-stopped")
	failing := arca.Sleeper(t, "--restart", "on-failure")
	stopped := arca.Sleeper(t, "--restart", "unless-stopped")
	plain := arca.Start(t, "-v", volume+":/data", "busybox", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; echo $i >> /data/lines; done")
	removed := arca.Sleeper(t, "--rm")
	arca.Docker(t, "stop", stopped).OK()
	arca.Docker(t, "exec", always, "sh", "-c", "echo kept > /data/f; echo kept > /root/f; sync").OK()
	arca.KillEverything(t)
	harness.Eventually(t, 30*time.Second, func() error { return arca.Up(t.Context()) })
	for name, want := range map[string]string{always: "running", unless: "running", failing: "running", stopped: "exited 0", plain: "exited"} {
		harness.Eventually(t, 30*time.Second, func() error {
			got := arca.Inspect(t, name, "{{.State.Status}} {{.State.ExitCode}}")
			if name == plain && (got == "exited 255" || got == "exited 137") || name != plain && strings.HasPrefix(got, want) {
				return nil
			}
			return fmt.Errorf("%s is %s, want %s", name, got, want)
		})
	}
	arca.Docker(t, "exec", always, "cat", "/data/f", "/root/f").OK().Out("kept\nkept\n")
	// The log is a beginning of what was written: no line is missing or doubled.
	lines := arca.Docker(t, "logs", plain).OK().Lines()
	for i, line := range lines {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the log is %q", i+1, line)
		}
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if arca.Command(t.Context(), "inspect", removed).Run() == nil {
			return errors.New("the container with --rm is still there")
		}
		return nil
	})
	arca.Audit(t)
}
