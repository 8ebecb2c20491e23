//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/arca-engine/arca/test/harness"
)

func TestStandardInput(t *testing.T) {
	t.Parallel()
	arca.DockerInput(t, "one\ntwo\n", "run", "--rm", "-i", "busybox", "cat").OK().Out("one\ntwo\n")
	arca.DockerInput(t, "", "run", "--rm", "-i", "busybox", "cat").OK().Out("")
	arca.DockerInput(t, "ignored", "run", "--rm", "busybox", "cat").OK().Out("")
	// The end of input is not the end of output.
	arca.DockerInput(t, "x", "run", "--rm", "-i", "busybox", "sh", "-c", "cat; sleep 0.5; echo after").OK().Out("xafter\n")
}

func TestBinaryThroughStandardStreams(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(data))
	r := arca.DockerInput(t, string(data), "run", "--rm", "-i", "busybox", "cat").OK()
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(r.Stdout))); got != want {
		t.Errorf("%d bytes came back, other than the %d sent", len(r.Stdout), len(data))
	}
}

// terminal runs docker on a terminal, types input once it has shown what is waited for, and tells what it showed.
func terminal(t *testing.T, size *pty.Winsize, after, input string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.CommandTimeout)
	defer cancel()
	cmd := arca.Command(ctx, args...)
	f, err := pty.StartWithSize(cmd, size)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	typed := false
	for {
		if !typed && strings.Contains(shown.String(), after) {
			typed = true
			if _, err := f.WriteString(input); err != nil {
				t.Fatal(err)
			}
		}
		n, err := f.Read(buf)
		shown.Write(buf[:n])
		if err != nil { // EIO when the other side is closed
			return shown.String(), cmd.Wait()
		}
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	size := &pty.Winsize{Rows: 33, Cols: 77}
	for _, tc := range []struct {
		name, after, input, command, want string
		code                              int
	}{
		{"is one", "", "", "tty && test -t 0 && test -t 1 && echo yes", "yes\r\n", 0},
		{"size", "ready", "\n", "echo ready; read x; stty size", "33 77\r\n", 0},
		{"line editing", "# ", "echo $((40+2))\nexit\n", "exec sh", "42\r\n", 0},
		{"ctrl-c", "ready", "\x03", "trap 'echo got; exit 4' INT; echo ready; while :; do sleep 0.1; done", "got\r\n", 4},
		{"TERM", "", "", "echo $TERM", "xterm\r\n", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			shown, err := terminal(t, size, tc.after, tc.input, "run", "--rm", "-it", "busybox", "sh", "-c", tc.command)
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == tc.code {
				err = nil
			}
			if err != nil || !strings.Contains(shown, tc.want) {
				t.Errorf("%v: %q, want %q", err, shown, tc.want)
			}
		})
	}
}

func TestDetachKeys(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	if shown, err := terminal(t, nil, "# ", "\x10\x11", "run", "-it", "--name", name, "busybox", "sh"); err != nil {
		t.Errorf("detach: %v: %q", err, shown)
	}
	arca.WaitInspect(t, name, "{{.State.Status}}", "running")
}

func TestAttach(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	arca.Docker(t, "run", "-d", "-i", "--name", name, "busybox", "sh", "-c", "while read l; do [ $l != end ] || exit 9; echo got $l; echo also $l >&2; done; exit 8").OK()
	// The input stays open after its client, as in dockerd: only the process can end it.
	r := arca.DockerInput(t, "a\nb\nend\n", "attach", name).Exit(9)
	if r.Stderr != "also a\nalso b\n" || r.Stdout != "got a\ngot b\n" {
		t.Errorf("stdout %q, stderr %q", r.Stdout, r.Stderr)
	}
	arca.Docker(t, "attach", name).Exit(1).ErrHas("cannot attach to a stopped container")
	arca.Docker(t, "attach", "no-such").Exit(1).ErrHas("No such container: no-such")
}

func TestSignalProxy(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	ctx, cancel := context.WithTimeout(t.Context(), harness.CommandTimeout)
	defer cancel()
	cmd := arca.Command(ctx, "run", "--name", name, "busybox", "sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 6)
	if _, err := io.ReadFull(out, buf); err != nil || string(buf) != "ready\n" {
		t.Fatalf("%q, %v", buf, err)
	}
	if err := cmd.Process.Signal(terminate); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil || string(rest) != "bye\n" {
		t.Errorf("%q, %v", rest, err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("exit: %v", err)
	}
}

func TestManyAttached(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "-i", "busybox", "sh", "-c", "read go; seq 1 2000")
	const clients = 4
	results := make(chan string, clients)
	ctx, cancel := context.WithTimeout(t.Context(), harness.CommandTimeout)
	defer cancel()
	for range clients {
		go func() {
			out, err := arca.Command(ctx, "attach", "--no-stdin", name).Output()
			if err != nil {
				out = []byte(err.Error())
			}
			results <- string(out)
		}()
	}
	harness.Eventually(t, 20*time.Second, func() error {
		seen := arca.Docker(t, "events", "--since", "5m", "--until", soon(), "--filter", "event=attach", "--filter", "container="+name, "--format", "{{.Action}}").OK().Lines()
		if len(seen) < clients {
			return fmt.Errorf("%d of %d clients are attached", len(seen), clients)
		}
		return nil
	})
	arca.DockerInput(t, "go\n", "attach", name).OK()
	for range clients {
		if got := <-results; !strings.HasPrefix(got, "1\n2\n") || !strings.HasSuffix(got, "\n2000\n") {
			t.Errorf("a client saw %d bytes: %.40q", len(got), got)
		}
	}
}

// A container that was started with -d -i outlives its clients, and its input does.
func TestInputOutlivesClients(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "-i", "busybox", "sh", "-c", "while read l; do echo got $l; [ $l != end ] || exit 4; done; exit 5")
	want := ""
	for _, word := range []string{"one", "two", "end"} {
		want += "got " + word + "\n"
		cmd := arca.Command(t.Context(), "attach", name)
		cmd.Stdin = strings.NewReader(word + "\n") // Its end ends the client's input alone.
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, harness.CommandTimeout, func() error {
			out, err := arca.Command(t.Context(), "logs", name).Output()
			if err == nil && string(out) != want {
				err = fmt.Errorf("log %q", out)
			}
			return err
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	arca.Docker(t, "wait", name).OK().Out("4\n")
}

// The input of docker run ends with its client, however it ends, as in dockerd.
func TestKilledClientEndsTheInput(t *testing.T) {
	t.Parallel()
	name := "killed-client"
	t.Cleanup(func() { _ = arca.Command(context.Background(), "rm", "-f", name).Run() })
	cmd := arca.Command(t.Context(), "run", "--name", name, "-i", "busybox", "sh", "-c", "cat; exit 6")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "hello\n"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, harness.CommandTimeout, func() error {
		out, err := arca.Command(t.Context(), "logs", name).Output()
		if err == nil && string(out) != "hello\n" {
			err = fmt.Errorf("log %q", out)
		}
		return err
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	arca.Docker(t, "wait", name).OK().Out("6\n")
}
