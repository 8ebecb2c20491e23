//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2")
	arca.Docker(t, "wait", name).OK()
	for _, tc := range []struct {
		flags string
		out   string
	}{
		{"", "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{"--tail 0", ""},
		{"--tail all", "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{"--since 10m", "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{"--until 10m", ""},
		{"-f", "line 1\nline 2\nline 3\nline 4\nline 5\n"},
	} {
		t.Run(tc.flags, func(t *testing.T) {
			t.Parallel()
			arca.Docker(t, append(append([]string{"logs"}, fields(tc.flags)...), name)...).OK().Out(tc.out)
		})
	}
	r := arca.Docker(t, "logs", "--tail", "3", name).OK()
	if r.Stdout+r.Stderr != "line 4\nline 5\nbad\n" && r.Stdout+r.Stderr != "line 3\nline 4\nline 5\n" {
		t.Errorf("the last three: %q %q", r.Stdout, r.Stderr)
	}
	arca.Docker(t, "logs", "-t", name).OK().OutMatches(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1\n`).ErrHas("bad")
	arca.Docker(t, "logs", "no-such").Exit(1).ErrHas("No such container: no-such")
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	arca.Docker(t, "run", "-d", "--name", name, "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done").OK()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := arca.Command(ctx, "logs", "-f", name).Output()
	if err != nil || string(out) != "1\n2\n3\n" {
		t.Errorf("%v: %q", err, out)
	}
}

func TestLogsKeepBytes(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"json-file", "local"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			name := arca.Container(t)
			const script = `i=0; while [ $i -lt 3000 ]; do echo "$i é"; i=$((i+1)); done; printf 'no end'; head -c 40000 /dev/zero | tr '\0' x`
			arca.Docker(t, "run", "--name", name, "--log-driver", driver, "busybox", "sh", "-c", script).OK()
			var want strings.Builder
			for i := range 3000 {
				fmt.Fprintf(&want, "%d é\n", i)
			}
			want.WriteString("no end" + strings.Repeat("x", 40000))
			if got := arca.Docker(t, "logs", name).OK().Stdout; got != want.String() {
				t.Errorf("%d bytes came back, %d were written", len(got), want.Len())
			}
		})
	}
}

func TestLogDrivers(t *testing.T) {
	t.Parallel()
	none := arca.Start(t, "--log-driver", "none", "busybox", "echo", "x")
	arca.Docker(t, "logs", none).Exit(1).ErrHas("configured logging driver does not support reading")
	arca.Docker(t, "run", "--rm", "--log-driver", "no-such", "busybox", "true").Exit(125).ErrHas("no-such")
	rotated := arca.Container(t)
	arca.Docker(t, "run", "--name", rotated, "--log-opt", "max-size=10k", "--log-opt", "max-file=2", "busybox", "seq", "1", "20000").OK()
	got := arca.Docker(t, "logs", rotated).OK().Lines()
	if n := len(got); n == 0 || n >= 20000 || got[n-1] != "20000" {
		t.Errorf("%d lines are kept", n)
	}
}
