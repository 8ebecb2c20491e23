//go:build integration

package crash

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

// arca is the instance whose parts are killed, by one test at a time.
var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox"}}, func(i *harness.Instance) { arca = i })
}

// lines that the counting container writes.
const lines = 30000

// counter writes numbered lines for some seconds and ends with exit code 9.
func counter(t *testing.T, flags ...string) string {
	t.Helper()
	script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; [ $((i %% 3000)) -ne 0 ] || sleep 0.3; done; exit 9", lines)
	return arca.Start(t, append(flags, "busybox", "sh", "-c", script)...)
}

// checkCount checks that each line is in the log once and in order.
func checkCount(t *testing.T, name string) {
	t.Helper()
	arca.Docker(t, "wait", name).OK().Out("9\n")
	var want strings.Builder
	for i := 1; i <= lines; i++ {
		fmt.Fprintln(&want, i)
	}
	if got := arca.Docker(t, "logs", name).OK().Stdout; got != want.String() {
		t.Errorf("the log has %d bytes, %d were written: %s", len(got), want.Len(), firstDifference(want.String(), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("line %d differs: %q", i+1, g[min(i, len(g)-1)])
		}
	}
	return "more lines than were written"
}

func frontend() int { return arca.DaemonPID("frontend") }
func keeper() int   { return arca.DaemonPID("vmhelper") }

func TestFrontendKilled(t *testing.T) {
	name := counter(t)
	for range 3 {
		old := frontend()
		harness.Kill(t, "the frontend", old)
		harness.WaitReplaced(t, "the frontend", old, frontend)
		harness.Eventually(t, harness.CommandTimeout, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), harness.CommandTimeout)
			defer cancel()
			return arca.Command(ctx, "inspect", name).Run()
		})
	}
	checkCount(t, name)
}

// An exit that happens while the frontend is away is told when it is back.
func TestExitWhileFrontendIsAway(t *testing.T) {
	name := arca.Start(t, "busybox", "sh", "-c", "read x < /dev/null; sleep 1; echo last; exit 6")
	restarted := arca.Start(t, "--restart", "on-failure:1", "busybox", "sh", "-c", "sleep 1; exit 3")
	old := frontend()
	harness.Kill(t, "the frontend", old)
	harness.WaitReplaced(t, "the frontend", old, frontend)
	harness.Eventually(t, harness.CommandTimeout, func() error { return arca.Command(t.Context(), "version").Run() })
	arca.Docker(t, "wait", name).OK().Out("6\n")
	arca.Docker(t, "logs", name).OK().Out("last\n")
	arca.WaitInspect(t, restarted, "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "1 exited 3")
}

func TestWorkerKilled(t *testing.T) {
	name := counter(t)
	worker := func() int { return arca.Worker(t) }
	for range 3 {
		old := worker()
		harness.Kill(t, "the worker", old)
		harness.WaitReplaced(t, "the worker", old, worker)
	}
	arca.Docker(t, "exec", name, "true").OK()
	arca.Docker(t, "run", "--rm", "busybox", "echo", "new").OK().Out("new\n")
	checkCount(t, name)
}

func TestKeeperKilled(t *testing.T) {
	name := counter(t)
	pid := arca.ContainerPID(t, name)
	old := keeper()
	harness.Kill(t, "the keeper", old)
	harness.WaitReplaced(t, "the keeper", old, keeper)
	harness.Eventually(t, harness.CommandTimeout, func() error {
		return arca.Command(t.Context(), "run", "--rm", "busybox", "true").Run()
	})
	if now := arca.ContainerPID(t, name); now != pid {
		t.Errorf("the container was process %d and is %d", pid, now)
	}
	arca.Docker(t, "exec", name, "true").OK()
	checkCount(t, name)
}

func TestAgentKilled(t *testing.T) {
	once := arca.Sleeper(t)
	again := arca.Sleeper(t, "--restart", "always")
	for _, name := range []string{once, again} {
		harness.Kill(t, "the agent", harness.Parent(arca.ContainerPID(t, name)))
	}
	arca.WaitInspect(t, once, "{{.State.Status}} {{.State.ExitCode}}", "exited 137")
	arca.WaitInspect(t, again, "{{.State.Status}} {{.RestartCount}}", "running 1")
	arca.Docker(t, "start", once).OK()
	arca.Docker(t, "exec", once, "true").OK()
}

// The instance's end and new start stand for the machine's.
func TestDownAndUp(t *testing.T) {
	always := arca.Sleeper(t, "--restart", "always", "-v", "/data")
	unless := arca.Sleeper(t, "--restart", "unless-stopped")
	stopped := arca.Sleeper(t, "--restart", "unless-stopped")
	plain := arca.Sleeper(t)
	arca.Docker(t, "exec", always, "sh", "-c", "echo kept > /data/f; echo kept > /root/f").OK()
	arca.Docker(t, "stop", stopped).OK()
	if out, err := arca.Arca(t.Context(), "down"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if now := arca.Take(t); now.Processes != 0 || now.Loops != 0 {
		t.Errorf("left after down: %+v", now)
	}
	if err := arca.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{always: "running", unless: "running", stopped: "exited", plain: "exited"} {
		arca.WaitInspect(t, name, "{{.State.Status}}", want)
	}
	arca.Docker(t, "exec", always, "cat", "/data/f", "/root/f").OK().Out("kept\nkept\n")
}

// up on a running instance finds it running and changes nothing.
func TestUpIsIdempotent(t *testing.T) {
	before := [2]int{frontend(), keeper()}
	out, err := arca.Arca(t.Context(), "up", "--registry-mirror", arca.Mirror)
	if err != nil || !strings.Contains(out, "runs already") {
		t.Errorf("%v: %s", err, out)
	}
	if now := [2]int{frontend(), keeper()}; now != before {
		t.Errorf("daemons %v, were %v", now, before)
	}
	if out, err := arca.Arca(t.Context(), "status"); err != nil || !strings.Contains(out, arca.Socket()) {
		t.Errorf("%v: %s", err, out)
	}
}
