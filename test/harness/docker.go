package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// CommandTimeout bounds one docker command line of a test.
const CommandTimeout = 60 * time.Second

// Result of a docker command line.
type Result struct {
	t      testing.TB
	line   string
	Stdout string
	Stderr string
	Code   int
}

// Command is the docker CLI, ready to start, for tests that need its process.
func (i *Instance) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = i.Environment()
	return cmd
}

// Environment is what a client of the instance sees.
func (i *Instance) Environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.Config, "DOCKER_CONFIG=" + i.Config, "DOCKER_HOST=unix://" + i.Socket(), "DOCKER_CLI_HINTS=false"}
}

// Docker runs the docker CLI.
func (i *Instance) Docker(t testing.TB, args ...string) *Result {
	t.Helper()
	return i.DockerInput(t, "", args...)
}

// DockerInput runs the docker CLI with an input.
func (i *Instance) DockerInput(t testing.TB, input string, args ...string) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), CommandTimeout)
	defer cancel()
	return Exec(ctx, t, i.Command(ctx, args...), input)
}

// Exec runs a command of the test's own making, which ctx must end.
func Exec(ctx context.Context, t testing.TB, cmd *exec.Cmd, input string) *Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r := &Result{t: t, line: strings.Join(cmd.Args, " "), Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s\ndid not end in time: %v\nstdout: %s\nstderr: %s", r.line, ctx.Err(), clip(r.Stdout), clip(r.Stderr))
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", r.line, err)
	}
	return r
}

func clip(s string) string {
	const most = 2000
	if len(s) > most {
		return fmt.Sprintf("%s... (%d bytes)", s[:most], len(s))
	}
	return s
}

func (r *Result) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s\n%s\nexit code: %d\nstdout: %s\nstderr: %s", r.line, fmt.Sprintf(format, args...), r.Code, clip(r.Stdout), clip(r.Stderr))
}

// OK wants success.
func (r *Result) OK() *Result { r.t.Helper(); return r.Exit(0) }

// Exit wants an exit code.
func (r *Result) Exit(code int) *Result {
	r.t.Helper()
	if r.Code != code {
		r.fail("want exit code %d", code)
	}
	return r
}

// Out wants exactly this on stdout.
func (r *Result) Out(want string) *Result {
	r.t.Helper()
	if r.Stdout != want {
		r.fail("want on stdout: %q", want)
	}
	return r
}

// OutHas wants each of these within stdout.
func (r *Result) OutHas(parts ...string) *Result {
	r.t.Helper()
	for _, p := range parts {
		if !strings.Contains(r.Stdout, p) {
			r.fail("want within stdout: %q", p)
		}
	}
	return r
}

// OutLacks wants none of these within stdout.
func (r *Result) OutLacks(parts ...string) *Result {
	r.t.Helper()
	for _, p := range parts {
		if strings.Contains(r.Stdout, p) {
			r.fail("want not within stdout: %q", p)
		}
	}
	return r
}

// OutMatches wants stdout to match a regular expression.
func (r *Result) OutMatches(expr string) *Result {
	r.t.Helper()
	if !regexp.MustCompile(expr).MatchString(r.Stdout) {
		r.fail("want stdout to match %s", expr)
	}
	return r
}

// ErrHas wants each of these within stderr.
func (r *Result) ErrHas(parts ...string) *Result {
	r.t.Helper()
	for _, p := range parts {
		if !strings.Contains(r.Stderr, p) {
			r.fail("want within stderr: %q", p)
		}
	}
	return r
}

// Line is stdout without the white space around it.
func (r *Result) Line() string { return strings.TrimSpace(r.Stdout) }

// Lines are the lines of stdout.
func (r *Result) Lines() []string {
	if r.Line() == "" {
		return nil
	}
	return strings.Split(r.Line(), "\n")
}
