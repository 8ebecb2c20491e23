//go:build integration

package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// own starts an instance of the test's own, with a daemon.json.
func own(t *testing.T, daemonJSON string) *harness.Instance {
	t.Helper()
	i, err := harness.Start(t.Context(), harness.Options{DaemonJSON: daemonJSON, Images: []string{"busybox"}, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := i.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return i
}

// With live restore the frontend leaves containers running; the end of the instance ends them all the same, and says so.
func TestDownWithLiveRestore(t *testing.T) {
	i := own(t, `{"live-restore": true}`)
	name := i.Sleeper(t, "--restart", "unless-stopped")
	out, err := i.Arca(t.Context(), "down")
	if err != nil || !strings.Contains(out, "Live restore is on") || !strings.Contains(out, "1 container running") {
		t.Errorf("%v: %s", err, out)
	}
	if now := i.Take(t); now.Processes != 0 || now.Loops != 0 {
		t.Errorf("left after down: %+v", now)
	}
	if err := i.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.WaitInspect(t, name, "{{.State.Status}}", "running")
}

// A container has its own stop timeout when the instance ends, even when that is longer than the daemon's.
func TestDownWaitsForStopTimeouts(t *testing.T) {
	i := own(t, `{"shutdown-timeout": 1}`)
	name := i.Container(t)
	i.Docker(t, "run", "-d", "--init", "--name", name, "--stop-timeout", "30", "busybox", "sh", "-c", "trap 'sleep 8; exit 5' TERM; echo ready; while :; do sleep 0.1; done").OK()
	harness.Eventually(t, 20*time.Second, func() error { // Until then the signal would end the shell.
		if out := i.Docker(t, "logs", name).OK().Stdout; !strings.Contains(out, "ready") {
			return fmt.Errorf("it said %q", out)
		}
		return nil
	})
	if out, err := i.Arca(t.Context(), "down"); err != nil || !strings.Contains(out, "Stopping 1 container") {
		t.Errorf("%v: %s", err, out)
	}
	if err := i.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.Inspect(t, name, "{{.State.Status}} {{.State.ExitCode}}"); got != "exited 5" {
		t.Errorf("after down and up: %s, want exited 5", got)
	}
}
