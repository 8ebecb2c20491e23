//go:build integration

package integration

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

const terminate = syscall.SIGTERM

func TestLifecycle(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	state := func(want string) {
		t.Helper()
		if got := arca.Inspect(t, name, "{{.State.Status}} {{.State.ExitCode}}"); got != want {
			t.Errorf("state %s, want %s", got, want)
		}
	}
	arca.Docker(t, "create", "--name", name, "busybox", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done").OK()
	state("created 0")
	arca.Docker(t, "start", name).OK().Out(name + "\n")
	state("running 0")
	arca.Docker(t, "start", name).OK() // 304 is a success
	arca.Docker(t, "pause", name).OK()
	state("paused 0")
	arca.Docker(t, "pause", name).Exit(1).ErrHas("is already paused")
	arca.Docker(t, "exec", name, "true").Exit(1).ErrHas("is paused, unpause the container before exec")
	arca.Docker(t, "unpause", name).OK()
	arca.Docker(t, "unpause", name).Exit(1).ErrHas("is not paused")
	arca.Docker(t, "restart", name).OK()
	state("running 0")
	arca.Docker(t, "rm", name).Exit(1).ErrHas("cannot remove container", "container is running: stop the container before removing or force remove")
	arca.Docker(t, "stop", name).OK()
	state("exited 3")
	arca.Docker(t, "stop", name).OK()
	arca.Docker(t, "kill", name).Exit(1).ErrHas("is not running")
	arca.Docker(t, "logs", name).OK().Out("up\nup\n")
	renamed := name + "-new"
	arca.Docker(t, "rename", name, renamed).OK()
	arca.Docker(t, "inspect", name).Exit(1)
	arca.Docker(t, "rename", renamed, name).OK()
	arca.Docker(t, "rm", name).OK().Out(name + "\n")
	arca.Docker(t, "rm", name).Exit(1).ErrHas("No such container: " + name)
	arca.Docker(t, "start", name).Exit(1).ErrHas("No such container: " + name)
}

func TestStopSignals(t *testing.T) {
	t.Parallel()
	t.Run("kill after the timeout", func(t *testing.T) {
		t.Parallel()
		name := arca.Start(t, "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
		start := time.Now()
		arca.Docker(t, "stop", "-t", "1", name).OK()
		if d := time.Since(start); d < time.Second || d > 5*time.Second {
			t.Errorf("stop -t 1 took %s", d)
		}
		if got := arca.Inspect(t, name, "{{.State.ExitCode}} {{.State.OOMKilled}}"); got != "137 false" {
			t.Error(got)
		}
	})
	t.Run("a signal of its own", func(t *testing.T) {
		t.Parallel()
		name := arca.Start(t, "--stop-signal", "USR1", "busybox", "sh", "-c", "trap 'exit 11' USR1; while :; do sleep 0.1; done")
		arca.Docker(t, "stop", name).OK()
		if got := arca.Inspect(t, name, "{{.State.ExitCode}}"); got != "11" {
			t.Error(got)
		}
	})
	for signal, code := range map[string]string{"KILL": "137", "9": "137", "SIGTERM": "143", "USR2": "140"} {
		t.Run("kill -s "+signal, func(t *testing.T) {
			t.Parallel()
			name := arca.Start(t, "--init", "busybox", "sleep", "1000")
			arca.Docker(t, "kill", "-s", signal, name).OK()
			arca.Docker(t, "wait", name).OK().Out(code + "\n")
		})
	}
	t.Run("no such signal", func(t *testing.T) {
		t.Parallel()
		name := arca.Sleeper(t)
		arca.Docker(t, "kill", "-s", "NOPE", name).Exit(1).ErrHas("invalid signal: NOPE")
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "busybox", "sh", "-c", "sleep 0.5; exit 7")
	arca.Docker(t, "wait", name).OK().Out("7\n")
	arca.Docker(t, "wait", name).OK().Out("7\n")
	arca.Docker(t, "wait", "no-such").Exit(1).ErrHas("No such container: no-such")
}

func TestAutoRemove(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	arca.Docker(t, "run", "-d", "--rm", "--name", name, "-v", "/data", "busybox", "sleep", "1000").OK()
	volume := arca.Inspect(t, name, "{{(index .Mounts 0).Name}}")
	arca.Docker(t, "stop", "-t", "0", name).OK()
	harness.Eventually(t, harness.CommandTimeout, func() error { // stop returns when it has ended, not when it is gone
		if arca.Docker(t, "inspect", name).Code == 0 {
			return errors.New("the container is still there")
		}
		return nil
	})
	arca.Docker(t, "volume", "inspect", volume).Exit(1)
}

func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	t.Run("on-failure ends", func(t *testing.T) {
		t.Parallel()
		name := arca.Start(t, "--restart", "on-failure:2", "busybox", "sh", "-c", "echo once; exit 4")
		arca.WaitInspect(t, name, "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", "exited 2 4")
		arca.Docker(t, "logs", name).OK().Out("once\nonce\nonce\n")
	})
	t.Run("on-failure not on success", func(t *testing.T) {
		t.Parallel()
		name := arca.Start(t, "--restart", "on-failure", "busybox", "true")
		arca.WaitInspect(t, name, "{{.State.Status}} {{.RestartCount}}", "exited 0")
	})
	t.Run("always, until stopped", func(t *testing.T) {
		t.Parallel()
		name := arca.Start(t, "--restart", "always", "busybox", "sh", "-c", "sleep 0.2; exit 0")
		arca.WaitInspect(t, name, "{{ge .RestartCount 2}}", "true")
		arca.Docker(t, "stop", "-t", "0", name).OK()
		if got := arca.Inspect(t, name, "{{.State.Status}}"); got != "exited" {
			t.Errorf("after stop: %s", got)
		}
	})
	t.Run("not with --rm", func(t *testing.T) {
		t.Parallel()
		arca.Docker(t, "run", "--rm", "--restart", "always", "busybox", "true").Exit(125)
	})
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	arca.Docker(t, "run", "--name", name, "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "head -c 64m /dev/zero | tail -c 64m >/dev/null; exec tail /dev/zero").Exit(137)
	if got := arca.Inspect(t, name, "{{.State.OOMKilled}}"); got != "true" {
		t.Errorf("OOMKilled is %s", got)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "--health-cmd", "test -e /tmp/well", "--health-interval", "200ms", "--health-retries", "2", "--health-timeout", "5s", "busybox", "sleep", "1000")
	arca.WaitInspect(t, name, "{{.State.Health.Status}}", "unhealthy")
	arca.Docker(t, "exec", name, "touch", "/tmp/well").OK()
	arca.WaitInspect(t, name, "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "healthy 0")
	arca.Docker(t, "ps", "--filter", "name="+name, "--format", "{{.Status}}").OK().OutHas("(healthy)")
	arca.Docker(t, "ps", "-q", "--filter", "health=healthy", "--filter", "name="+name).OK().OutMatches(`^[0-9a-f]{12}\n$`)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	name := arca.Sleeper(t, "-m", "64m")
	arca.Docker(t, "update", "-m", "32m", "--memory-swap", "64m", "--pids-limit", "50", "--restart", "on-failure:3", name).OK()
	if got := arca.Inspect(t, name, "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}"); got != "33554432 50 on-failure" {
		t.Error(got)
	}
	arca.Docker(t, "exec", name, "sh", "-c", "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes").OK().Out("33554432\n")
}

func TestTopAndStats(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "busybox", "sleep", "12345")
	arca.Docker(t, "top", name).OK().OutHas("UID", "PID", "sleep 12345")
	arca.Docker(t, "top", name, "-o", "pid,args").OK().OutHas("PID", "sleep 12345")
	arca.Docker(t, "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", name).OK().Out(name + " 1\n")
	memory := arca.Docker(t, "stats", "--no-stream", "--format", "{{.MemUsage}}", name).OK().Line()
	if strings.HasPrefix(memory, "0B /") {
		t.Errorf("memory %s", memory)
	}
	arca.Docker(t, "top", "no-such").Exit(1).ErrHas("No such container")
}

func TestNamespaceModes(t *testing.T) {
	t.Parallel()
	other := arca.Start(t, "--ipc", "shareable", "busybox", "sh", "-c", "echo secret > /dev/shm/x; sleep 98765")
	arca.Docker(t, "run", "--rm", "--pid", "container:"+other, "busybox", "ps").OK().OutHas("sleep 98765")
	arca.Docker(t, "run", "--rm", "--ipc", "container:"+other, "busybox", "cat", "/dev/shm/x").OK().Out("secret\n")
	id := arca.Docker(t, "exec", other, "readlink", "/proc/self/ns/net").OK().Stdout
	arca.Docker(t, "run", "--rm", "--network", "container:"+other, "busybox", "readlink", "/proc/self/ns/net").OK().Out(id)
	arca.Docker(t, "run", "--rm", "--network", "container:no-such", "busybox", "true").Exit(125).ErrHas("No such container: no-such")
	arca.Docker(t, "run", "--rm", "--uts", "host", "busybox", "true").OK()
	arca.Docker(t, "run", "--rm", "--pid", "host", "busybox", "sh", "-c", "ls -d /proc/[0-9]* | wc -l").OK().OutMatches(`^\d{2,}\n$`)
}

func TestParallelContainers(t *testing.T) {
	t.Parallel()
	const n = 12
	done := make(chan string, n)
	for i := range n {
		go func() {
			out, err := arca.Command(t.Context(), "run", "--rm", "busybox", "echo", strconv.Itoa(i)).Output()
			if err != nil || strings.TrimSpace(string(out)) != strconv.Itoa(i) {
				done <- fmt.Sprintf("number %d: %v: %s", i, err, out)
				return
			}
			done <- ""
		}()
	}
	for range n {
		if failure := <-done; failure != "" {
			t.Error(failure)
		}
	}
}
