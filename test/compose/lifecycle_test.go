//go:build integration

package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

const lifecycle = `
services:
  prepare:
    image: busybox
    command: sh -c 'echo prepared > /data/state; echo preparing'
    volumes: [data:/data]
  api:
    image: counter
    ports: ["8080"]
    volumes: [data:/data:ro]
    depends_on:
      prepare:
        condition: service_completed_successfully
      redis:
        condition: service_healthy
  redis:
    image: redis
    healthcheck:
      test: ["CMD-SHELL", "test -e /tmp/ready || { touch /tmp/ready; exit 1; }"]
      interval: 1s
      retries: 30
volumes:
  data:
`

// TestLifecycle: up in the order of dependencies, ps, logs, exec, run, restart, stop, start, pause, kill, top, rm, down.
func TestLifecycle(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, lifecycle)
		p.up()
		state := map[string]entry{}
		for _, e := range p.ps() {
			state[e.Service] = e
		}
		if e := state["prepare"]; e.State != "exited" || e.ExitCode != 0 {
			t.Errorf("prepare is %+v", e)
		}
		if e := state["redis"]; e.State != "running" || e.Health != "healthy" {
			t.Errorf("redis is %+v", e)
		}
		if got := ask(t, p.url("api", "8080"), "/file", "path", "/data/state"); got != "prepared\n" {
			t.Errorf("the state is %q", got)
		}
		p.compose("logs", "--no-color", "prepare").OK().OutHas("preparing")
		if got := p.exec("api", "hostname"); !strings.HasPrefix(p.ids("api")[0], got) {
			t.Errorf("exec in api: %q", got)
		}
		p.compose("exec", "-T", "api", "sh", "-c", "exit 7").Exit(7)
		p.compose("run", "--rm", "-T", "--no-deps", "prepare", "sh", "-c", "cat /data/state; exit 3").Exit(3).Out("prepared\n")
		p.compose("run", "--rm", "-T", "--no-deps", "prepare", "wget", "-q", "-O", "-", "http://api:8080/health").OK().Out("+PONG")
		p.compose("top", "api").OK().OutHas("counter")

		p.compose("restart", "api").OK()
		get(t, p.url("api", "8080")+"/")
		p.compose("pause", "api").OK()
		p.compose("ps", "--all", "--status", "paused", "--services").OK().Out("api\n")
		p.compose("unpause", "api").OK()
		p.compose("stop", "--timeout", "5", "api").OK()
		p.compose("ps", "--all", "--status", "exited", "--services").OK().OutHas("api")
		p.compose("start", "api").OK()
		if got := get(t, p.url("api", "8080")+"/"); !strings.HasPrefix(got, "visit 2 ") {
			t.Errorf("after all this api answers %q", got)
		}
		p.compose("kill", "--signal", "KILL", "redis").OK()
		p.compose("rm", "--force", "redis").OK()
		if ids := p.ids("redis"); len(ids) != 0 {
			t.Errorf("rm left %v", ids)
		}
		p.compose("down", "--timeout", "2").OK()
		arca.Docker(t, "network", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+p.name).OK().Out("")
		arca.Docker(t, "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project="+p.name).OK().Out("")
		arca.Docker(t, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+p.name).OK().Out(p.name + "_data\n")
		p.compose("down", "--volumes").OK()
		arca.Docker(t, "volume", "ls", "--quiet", "--filter", "label=com.docker.compose.project="+p.name).OK().Out("")
	})
}

// TestLogsFollow: `logs -f` tells what every service writes, new ones too, and ends when it is interrupted.
func TestLogsFollow(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, `
services:
  clock:
    image: busybox
    init: true
    command: sh -c 'echo >>/starts; n=$$(wc -l </starts); i=0; while :; do i=$$((i+1)); echo start $$n tick $$i; sleep 0.2; done'
  bell:
    image: busybox
    init: true
    command: sh -c 'while :; do echo ring; sleep 0.2; done'
`)
		p.up()
		follower := p.follow("logs", "--follow", "--no-color")
		follower.until("start 1 tick 3", "ring")
		// What was started anew is followed on; Compose may miss the first lines.
		p.compose("restart", "--timeout", "1", "clock").OK()
		follower.until("start 2 tick 9")
		follower.interrupt()
	})
}

// TestAttachedUp: `up` in the foreground shows the output, and the exit code of the service that it waits for is its own.
func TestAttachedUp(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, `
services:
  work:
    image: busybox
    command: sh -c 'echo working; sleep 1; echo failing; exit 5'
  idle:
    image: busybox
    init: true
    command: [sleep, inf]
`)
		p.compose("up", "--no-color", "--abort-on-container-exit", "--exit-code-from", "work", "--timeout", "2").Exit(5).OutHas("working", "failing")
	})
}

// follower is a command line that goes on.
type follower struct {
	p     *project
	cmd   *exec.Cmd
	lines chan string
	ended chan error
}

// follow starts a command line that goes on until it is interrupted.
func (p *project) follow(args ...string) *follower {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), commandTimeout)
	f := &follower{p: p, cmd: p.command(ctx, args...), lines: make(chan string, 1024), ended: make(chan error, 1)}
	r, w := io.Pipe()
	f.cmd.Stdout, f.cmd.Stderr = w, w
	f.cmd.WaitDelay = 5 * time.Second
	if err := f.cmd.Start(); err != nil {
		cancel()
		p.t.Fatal(err)
	}
	go func() {
		defer cancel()
		err := f.cmd.Wait()
		f.ended <- errors.Join(err, w.Close())
	}()
	go read(r, f.lines)
	p.t.Cleanup(func() {
		cancel()
		for range f.lines { // until its end
			continue
		}
	})
	return f
}

// read hands what comes on until the end.
func read(r io.Reader, lines chan<- string) {
	defer close(lines)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			lines <- string(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// until reads until all parts have been seen, counting from here.
func (f *follower) until(parts ...string) {
	f.p.t.Helper()
	most := time.NewTimer(time.Minute)
	defer most.Stop()
	var text strings.Builder
	for {
		select {
		case s, ok := <-f.lines:
			text.WriteString(s)
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text.String(), p) }) {
				return
			}
			if !ok {
				f.p.t.Fatalf("%v ended; it said %s", f.cmd.Args, text.String())
			}
		case <-most.C:
			f.p.t.Fatalf("%v did not say %q within a minute, but %s", f.cmd.Args, parts, text.String())
		}
	}
}

// interrupt is Ctrl-C; the command line has to end.
func (f *follower) interrupt() {
	f.p.t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGINT); err != nil {
		f.p.t.Fatal(err)
	}
	harness.Eventually(f.p.t, 30*time.Second, func() error {
		select {
		case err := <-f.ended:
			f.ended <- err // whatever code: it was interrupted
			return nil
		case _, ok := <-f.lines:
			if !ok {
				return nil
			}
			return errors.New("it still says something")
		default:
			return fmt.Errorf("%v goes on after an interrupt", f.cmd.Args)
		}
	})
}
