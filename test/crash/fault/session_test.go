//go:build integration

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// patience bounds how long a step is done again until it succeeds.
const patience = 40 * time.Second

// session is what a user does, each step again until it succeeds.
type session struct {
	t            *testing.T
	name, volume string
	bind         string
	last         string // what the last try said.
	begin        func() // called before the first step that needs a sandbox of its own.
}

func newSession(t *testing.T) *session {
	t.Helper()
	s := &session{t: t, begin: func() {}, name: harness.Name(t), volume: harness.Name(t), bind: filepath.Join(folder, "bind")}
	if err := os.MkdirAll(s.bind, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// docker does a step until it succeeds. done are sentences that tell that an earlier try has done it.
func (s *session) docker(args []string, done ...string) string {
	s.t.Helper()
	return s.repaired(func() error { return nil }, args, done...)
}

// alive is docker with a container that runs: the fault may have ended it.
func (s *session) alive(container string, args ...string) string {
	s.t.Helper()
	return s.repaired(func() error { _, err := s.try("start", container); return err }, args)
}

func (s *session) repaired(repair func() error, args []string, done ...string) string {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for first := true; ; first = false {
		var err error
		if !first {
			err = repair()
		}
		var out string
		if err == nil {
			out, err = s.try(args...)
		}
		if err == nil {
			return out
		}
		for _, sentence := range done {
			if !first && strings.Contains(err.Error(), sentence) {
				return out
			}
		}
		if strings.TrimSpace(err.Error()) == "" {
			s.t.Errorf("docker %s failed without a word", strings.Join(args, " "))
		}
		if text := err.Error(); text != s.last {
			s.last = text
			s.t.Logf("docker %s: %s", strings.Join(args, " "), text)
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
		}
		time.Sleep(100 * time.Millisecond) // what a user does before trying again
	}
}

func (s *session) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := arca.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		s.t.Errorf("docker %s hung: %s%s", strings.Join(args, " "), stdout.String(), stderr.String())
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, stderr.String()+stdout.String())
	}
	return stdout.String(), nil
}

// run is the whole session.
func (s *session) run() {
	s.t.Helper()
	s.images()
	s.begin()
	s.docker([]string{"volume", "create", s.volume})
	s.docker([]string{"create", "--name", s.name, "-t", "-v", s.volume + ":/data", "-v", s.bind + ":/bind",
		"busybox", "sh", "-c", "echo begun; trap 'exit 7' TERM; while :; do sleep 0.05; done"}, "already in use")
	s.docker([]string{"cp", filepath.Join(harness.Root(), "go.mod"), s.name + ":/copied"})
	s.docker([]string{"cp", filepath.Join(harness.Root(), "go.mod"), s.name + ":/tmp"})
	s.docker([]string{"start", s.name})
	s.alive(s.name, "exec", s.name, "sh", "-c", "echo kept > /data/f && cat /bind/none 2>/dev/null; test -s /copied")
	s.socket()
	s.alive(s.name, "top", s.name)
	s.alive(s.name, "stats", "--no-stream", s.name)
	s.alive(s.name, "diff", s.name)
	s.alive(s.name, "update", "--pids-limit", "200", s.name)
	s.resize()
	s.alive(s.name, "cp", s.name+":/data/f", filepath.Join(s.bind, "f"))
	s.repaired(func() error { _, err := s.try("start", s.name); return err }, []string{"pause", s.name}, "already paused")
	s.docker([]string{"unpause", s.name}, "not paused", "is not running")
	s.joiner()
	s.networks()
	s.agent()
	s.daemons()
	s.docker([]string{"ps", "-a", "-s"})
	s.docker([]string{"system", "df", "-v"})
	if out := s.docker([]string{"logs", s.name}); !strings.Contains(out, "begun") {
		s.t.Errorf("the log has lost its first line: %q", out)
	}
	s.docker([]string{"stop", "-t", "5", s.name})
	if code := strings.TrimSpace(s.docker([]string{"wait", s.name})); code != "7" && code != "137" {
		s.t.Errorf("exit code %s", code)
	}
	s.docker([]string{"cp", s.name + ":/copied", filepath.Join(s.bind, "copied")}) // of a stopped container
	s.alive(s.name, "exec", s.name, "grep", "kept", "/data/f")
	s.docker([]string{"rm", "-f", s.name}, "No such container")
	s.docker([]string{"volume", "rm", s.volume}, "no such volume")
}

// images brings an image anew, and runs it.
func (s *session) images() {
	s.t.Helper()
	// One whose start was cut stays, and keeps the layer.
	for _, id := range strings.Fields(s.docker([]string{"ps", "-aq", "--filter", "label=once"})) {
		s.docker([]string{"rm", "-f", id}, "No such container")
	}
	s.docker([]string{"rmi", "-f", "hello-world"}, "No such image")
	s.docker([]string{"pull", "hello-world"})
	s.docker([]string{"run", "--rm", "--label", "once", "hello-world"})
	s.docker([]string{"rmi", "-f", "hello-world"}, "No such image")
}

// joiner runs a container in the sandbox of the first one.
func (s *session) joiner() {
	s.t.Helper()
	name := s.name + "-joined"
	s.docker([]string{"create", "--name", name, "--network", "container:" + s.name, "-v", s.volume + ":/data", "busybox", "sh", "-c", "cat /data/f; exit 3"}, "already in use")
	s.repaired(func() error { _, err := s.try("start", s.name); return err }, []string{"start", name})
	s.repaired(func() error { return errors.Join(second(s.try("start", s.name)), second(s.try("start", name))) }, []string{"wait", name})
	s.docker([]string{"rm", "-f", name}, "No such container")
}

// networks runs a container in a network of its own, with a published port, and connects it to another one.
func (s *session) networks() {
	s.t.Helper()
	name := s.name + "-net"
	s.docker([]string{"network", "create", name}, "already exists")
	s.docker([]string{"create", "--name", name, "--network", name, "-p", "127.0.0.1::80", "busybox", "sleep", "1000"}, "already in use")
	s.docker([]string{"start", name})
	s.repaired(func() error { _, err := s.try("start", name); return err }, []string{"network", "connect", "bridge", name}, "already exists in network")
	s.docker([]string{"network", "disconnect", "bridge", name}, "is not connected")
	s.docker([]string{"rm", "-f", name}, "No such container")
	s.docker([]string{"network", "rm", name}, "not found")
}

func second(_ string, err error) error { return err }

// socket speaks to a socket of the host from within a container.
func (s *session) socket() {
	s.t.Helper()
	path := filepath.Join(s.bind, "host.sock")
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })}
	go func() { _ = server.Serve(l) }() // ends at Close
	defer func() { _ = server.Close() }()
	s.docker([]string{"run", "--rm", "-v", path + ":/host.sock", "nginx", "curl", "-sf", "--max-time", "5", "--unix-socket", "/host.sock", "http://d/"})
}

// agent kills the container's agent; the container starts again.
func (s *session) agent() {
	s.t.Helper()
	s.alive(s.name, "exec", s.name, "true")
	harness.Kill(s.t, "the agent", harness.Parent(arca.ContainerPID(s.t, s.name)))
	s.docker([]string{"wait", s.name})
	s.docker([]string{"start", s.name})
}

// resize changes the size of the terminal; the CLI does it for its own alone.
func (s *session) resize() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		resp, err := arca.Client().Post("http://arca/v1.51/containers/"+s.name+"/resize?h=20&w=70", "", http.NoBody)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(resp.Status)
		}
		s.t.Logf("resize: %v", err)
		if time.Now().After(deadline) {
			s.t.Fatalf("resize: %v", err)
		}
		_, _ = s.try("start", s.name)
	}
}

// daemons lets each daemon go and come back, so that what they do then is reached too.
func (s *session) daemons() {
	s.t.Helper()
	for _, d := range []struct {
		what string
		find func() int
	}{
		{"the worker", func() int { return arca.Worker(s.t) }},
		{"the frontend", func() int { return arca.DaemonPID("frontend") }},
	} {
		old := d.find()
		if old == 0 {
			continue // The fault itself has it.
		}
		harness.Kill(s.t, d.what, old)
		harness.WaitReplaced(s.t, d.what, old, d.find)
	}
	s.docker([]string{"version"})
}
