//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

// nobody is an ordinary user that every machine has.
const nobody = 65534

// ordinary is an ordinary user with an instance of its own below its home, binaries that it may run, and a sudo that
// has the test run what it is asked for.
type ordinary struct {
	t     *testing.T
	home  string
	bin   string
	asked []string // of sudo.
}

func newOrdinary(t *testing.T) *ordinary {
	t.Helper()
	base, err := os.MkdirTemp("/var/tmp", "arca-user-") //nolint:usetesting // Another user must be able to reach it.
	if err != nil {
		t.Fatal(err)
	}
	u := &ordinary{t: t, home: filepath.Join(base, "home"), bin: filepath.Join(base, "bin")}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	for dir, owner := range map[string]int{base: 0, u.bin: 0, u.home: nobody} {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.Chmod(dir, 0o755))
		must(t, os.Chown(dir, owner, owner))
	}
	for _, name := range []string{"arca", "arca-frontend", "arca-vmhelper", "arca-guest", "arca-init", "runc"} {
		b, err := os.ReadFile(harness.Binary(name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(u.bin, name), b, 0o755))
	}
	u.serveSudo()
	return u
}

// serveSudo makes a sudo that hands its command to the test, which is root, and waits for the exit code.
func (u *ordinary) serveSudo() {
	t := u.t
	script := fmt.Sprintf("#!/bin/sh\nfor a; do echo \"$a\"; done >%[1]s/asked\nread code <%[1]s/answer\nexit \"$code\"\n", u.bin)
	must(t, os.WriteFile(filepath.Join(u.bin, "sudo"), []byte(script), 0o755))
	var pipes []*os.File
	for _, name := range []string{"asked", "answer"} {
		path := filepath.Join(u.bin, name)
		must(t, syscall.Mkfifo(path, 0o600))
		must(t, os.Chown(path, nobody, nobody))
		f, err := os.OpenFile(path, os.O_RDWR, 0) // both ends: it opens at once and never ends.
		must(t, err)
		pipes = append(pipes, f)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewScanner(pipes[0])
		var args []string
		for lines.Scan() {
			args = append(args, lines.Text())
			// The job's name ends each line that is asked for.
			if lines.Text() != "vmhelper" {
				continue
			}
			u.asked = append(u.asked, strings.Join(args, " "))
			out, err := exec.CommandContext(t.Context(), args[1], args[2:]...).CombinedOutput()
			code := 0
			if err != nil {
				t.Errorf("%q: %v: %s", args, err, out)
				code = 1
			}
			if _, err := fmt.Fprintln(pipes[1], code); err != nil {
				t.Error(err)
			}
			args = nil
		}
	})
	t.Cleanup(func() {
		_ = pipes[0].Close()
		_ = pipes[1].Close()
		wg.Wait()
	})
}

// run runs a program as the user.
func (u *ordinary) run(program string, args ...string) (string, error) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.t.Context()), harness.CommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = u.home
	cmd.Env = []string{"PATH=" + u.bin + ":" + os.Getenv("PATH"), "HOME=" + u.home, "DOCKER_CLI_HINTS=false", "DOCKER_HOST=unix://" + u.home + "/.arca/run/arca.sock"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (u *ordinary) arca(args ...string) (string, error) {
	u.t.Helper()
	return u.run(filepath.Join(u.bin, "arca"), append(args, "--home", filepath.Join(u.home, ".arca"))...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An ordinary user runs an instance: sudo is asked for vmhelper alone, and containers see of the machine what the user may.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	u := newOrdinary(t)
	t.Cleanup(func() {
		if out, err := u.arca("down"); err != nil {
			t.Errorf("down: %v: %s", err, out)
		}
	})
	out, err := u.arca("up", "--registry-mirror", arca.Mirror)
	if err != nil || !strings.Contains(out, "is ready") || strings.Count(out, "Asking sudo") != 1 {
		t.Fatalf("up: %v: %s", err, out)
	}
	if len(u.asked) != 1 || !strings.Contains(u.asked[0], " supervise --detach ") || !strings.HasSuffix(u.asked[0], " vmhelper") {
		t.Errorf("sudo was asked for %q", u.asked)
	}
	for _, command := range []string{"status", "doctor"} {
		if out, err := u.arca(command); err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	i := &harness.Instance{Home: filepath.Join(u.home, ".arca")}
	for _, c := range []struct {
		job string
		uid uint32
	}{{"frontend", nobody}, {"vmhelper", 0}} {
		if got := processOwner(t, i.DaemonPID(c.job)); got != c.uid {
			t.Errorf("%s runs as %d, want %d", c.job, got, c.uid)
		}
	}
	t.Run("binds", func(t *testing.T) { u.binds(t) })
	if out, err := u.run("docker", "run", "--rm", "-v", "data:/d", "busybox", "touch", "/d/f"); err != nil {
		t.Errorf("a volume: %v: %s", err, out)
	}
	if out, err := u.run("docker", "run", "-d", "--init", "--name", "left", "busybox", "sleep", "1000"); err != nil {
		t.Errorf("run: %v: %s", err, out)
	}
	if out, err := u.arca("down"); err != nil || !strings.Contains(out, "Stopping 1 container") {
		t.Errorf("down: %v: %s", err, out)
	}
	if len(u.asked) != 2 || !strings.Contains(u.asked[1], " supervise --stop ") {
		t.Errorf("sudo was asked for %q", u.asked)
	}
	if left := i.Take(t); left.Processes != 0 || left.Loops != 0 {
		t.Errorf("left after down: %+v", left)
	}
}

// binds checks that sources are opened with the rights of the user.
func (u *ordinary) binds(t *testing.T) {
	write := func(dir, name string, owner int) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(name+"\n"), 0o600))
		must(t, os.Chown(path, owner, owner))
		return path
	}
	mine := write(u.home, "mine", nobody)
	closed := filepath.Join(u.home, "closed")
	must(t, os.Mkdir(closed, 0o700))
	for _, c := range []struct {
		source, want string
		ok           bool
	}{
		{mine, "mine\n", true},
		{write(u.home, "roots", 0), "permission denied", false},
		{write(closed, "hidden", nobody), "permission denied", false},
	} {
		out, err := u.run("docker", "run", "--rm", "-v", c.source+":/f", "busybox", "cat", "/f")
		if (err == nil) != c.ok || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %s", c.source, err, out)
		}
	}
	if out, err := u.run("docker", "run", "--rm", "-v", mine+":/f", "busybox", "sh", "-c", "echo more >> /f"); err != nil {
		t.Errorf("write: %v: %s", err, out)
	}
	if b, err := os.ReadFile(mine); err != nil || !bytes.Equal(b, []byte("mine\nmore\n")) {
		t.Errorf("the file holds %q, %v", b, err)
	}
	// A missing source is made, as the user would make it.
	made := filepath.Join(u.home, "made")
	if out, err := u.run("docker", "run", "--rm", "-v", made+":/d", "busybox", "true"); err != nil {
		t.Errorf("a missing source: %v: %s", err, out)
	}
	if info, err := os.Stat(made); err != nil || info.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("the source that was made: %v, %v", info, err)
	}
	if _, err := u.run("docker", "run", "--rm", "-v", filepath.Join(closed, "made")+":/d", "busybox", "true"); err == nil {
		t.Error("a source was made where the user may not")
	}
}

// processOwner tells a process's effective uid.
func processOwner(t *testing.T, pid int) uint32 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Uid:" {
			var uid uint32
			_, err := fmt.Sscan(f[2], &uid)
			must(t, err)
			return uid
		}
	}
	t.Fatalf("process %d has no uid: %s", pid, slices.Collect(strings.Lines(string(b))))
	return 0
}
