//go:build integration

package integration

import (
	"strings"
	"testing"
)

func TestExec(t *testing.T) {
	t.Parallel()
	name := arca.Sleeper(t, "-e", "FROM=container", "-w", "/tmp")
	for _, tc := range []struct {
		what  string
		flags []string
		cmd   []string
		input string
		code  int
		out   string
		err   string
	}{
		{"output", nil, []string{"echo", "hi"}, "", 0, "hi\n", ""},
		{"both streams", nil, []string{"sh", "-c", "echo a; echo b >&2"}, "", 0, "a\n", "b\n"},
		{"exit code", nil, []string{"sh", "-c", "exit 33"}, "", 33, "", ""},
		{"killed", nil, []string{"sh", "-c", "kill -9 $$"}, "", 137, "", ""},
		{"input", []string{"-i"}, []string{"cat"}, "some\n", 0, "some\n", ""},
		{"no input", nil, []string{"cat"}, "some\n", 0, "", ""},
		{"environment", []string{"-e", "MORE=x"}, []string{"sh", "-c", "echo $FROM $MORE"}, "", 0, "container x\n", ""},
		{"working directory of the container", nil, []string{"pwd"}, "", 0, "/tmp\n", ""},
		{"working directory", []string{"-w", "/etc"}, []string{"pwd"}, "", 0, "/etc\n", ""},
		{"user", []string{"-u", "1000"}, []string{"id", "-u"}, "", 0, "1000\n", ""},
		{"privileged", []string{"--privileged"}, []string{"sh", "-c", "test $(awk '/CapEff/{print $2}' /proc/self/status) != 00000000a80425fb && echo more"}, "", 0, "more\n", ""},
		{"same namespaces", nil, []string{"sh", "-c", "test $(readlink /proc/1/ns/pid) = $(readlink /proc/self/ns/pid) && echo same"}, "", 0, "same\n", ""},
		{"not found", nil, []string{"no-such-program"}, "", 127, "", "executable file not found in $PATH"},
		{"not executable", nil, []string{"/etc/passwd"}, "", 126, "", "permission denied"},
		{"detached", []string{"-d"}, []string{"sh", "-c", "echo x > /tmp/detached"}, "", 0, "", ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			r := arca.DockerInput(t, tc.input, append(append(append([]string{"exec"}, tc.flags...), name), tc.cmd...)...).Exit(tc.code)
			if tc.code != 127 && tc.code != 126 {
				r.Out(tc.out)
			}
			if tc.err != "" && !strings.Contains(r.Stderr+r.Stdout, tc.err) { // Docker tells what could not start on stdout
				t.Errorf("%q %q, want %q", r.Stdout, r.Stderr, tc.err)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		shown, err := terminal(t, nil, "", "", "exec", "-it", name, "sh", "-c", "test -t 0 && echo yes")
		if err != nil || shown != "yes\r\n" {
			t.Errorf("%v: %q", err, shown)
		}
	})
}

func TestExecNeedsARunningContainer(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	arca.Docker(t, "create", "--name", name, "busybox", "true").OK()
	arca.Docker(t, "exec", name, "true").Exit(1).ErrHas("is not running")
	arca.Docker(t, "exec", "no-such", "true").Exit(1).ErrHas("No such container: no-such")
}
