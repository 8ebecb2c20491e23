//go:build integration

package integration

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string // of docker run --rm
		code int
		out  string
		err  string
	}{
		{"the first of all", []string{"--network", "none", "busybox", "true"}, 0, "", ""},
		{"output", []string{"busybox", "echo", "hi"}, 0, "hi\n", ""},
		{"both streams", []string{"busybox", "sh", "-c", "echo out; echo err >&2"}, 0, "out\n", "err\n"},
		{"exit code", []string{"busybox", "sh", "-c", "exit 42"}, 42, "", ""},
		{"killed by a signal", []string{"--init", "busybox", "sh", "-c", "kill -9 $$"}, 137, "", ""},
		{"not found", []string{"busybox", "no-such-program"}, 127, "", "executable file not found in $PATH"},
		{"not executable", []string{"busybox", "/etc/passwd"}, 126, "", "permission denied"},
		{"a directory", []string{"busybox", "/etc"}, 126, "", ""},
		{"unknown flag", []string{"--no-such-flag", "busybox"}, 125, "", "unknown flag"},
		{"no such image", []string{"no-such-image-anywhere", "true"}, 125, "", "no-such-image-anywhere"},
		{"environment", []string{"-e", "A=b c", "busybox", "sh", "-c", `echo "$A"`}, 0, "b c\n", ""},
		{"path is set", []string{"busybox", "sh", "-c", "echo $PATH"}, 0, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", ""},
		{"home of root", []string{"busybox", "sh", "-c", "echo $HOME"}, 0, "/root\n", ""},
		{"working directory", []string{"-w", "/some/where", "busybox", "pwd"}, 0, "/some/where\n", ""},
		{"user by number", []string{"-u", "1234:5678", "busybox", "sh", "-c", "id -u; id -g"}, 0, "1234\n5678\n", ""},
		{"user by name", []string{"-u", "www-data", "busybox", "sh", "-c", "id -un; id -gn"}, 0, "www-data\nwww-data\n", ""},
		{"unknown user", []string{"-u", "nobody-knows", "busybox", "true"}, 125, "", "unable to find user nobody-knows"},
		{"more groups", []string{"--group-add", "users", "--group-add", "777", "busybox", "id", "-G"}, 0, "0 10 100 777\n", ""},
		{"hostname", []string{"--hostname", "somehost", "busybox", "hostname"}, 0, "somehost\n", ""},
		{"hostname in hosts", []string{"--hostname", "somehost", "busybox", "grep", "-c", "localhost", "/etc/hosts"}, 0, "2\n", ""},
		{"extra hosts", []string{"--add-host", "far:10.1.2.3", "busybox", "grep", "far", "/etc/hosts"}, 0, "10.1.2.3\tfar\n", ""},
		{"entry point", []string{"--entrypoint", "echo", "busybox", "a", "b"}, 0, "a b\n", ""},
		{"dockerenv", []string{"busybox", "ls", "/.dockerenv"}, 0, "/.dockerenv\n", ""},
		{"tmp is sticky", []string{"busybox", "stat", "-c", "%a", "/tmp"}, 0, "1777\n", ""},
		{"pid 1", []string{"busybox", "sh", "-c", "echo $$"}, 0, "1\n", ""},
		{"init is pid 1", []string{"--init", "busybox", "sh", "-c", "test $$ -ne 1 && cat /proc/1/comm"}, 0, "docker-init\n", ""},
		{"loopback is up", []string{"--network", "none", "busybox", "ip", "-o", "addr", "show", "lo"}, 0, "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n1: lo    inet6 ::1/128 scope host \\       valid_lft forever preferred_lft forever\n", ""},
		{"read-only root", []string{"--read-only", "busybox", "touch", "/x"}, 1, "", "Read-only file system"},
		{"tmpfs", []string{"--read-only", "--tmpfs", "/t:size=1m", "busybox", "sh", "-c", "touch /t/x && df -k /t | tail -1 | awk '{print $2}'"}, 0, "1024\n", ""},
		{"shared memory", []string{"--shm-size", "8m", "busybox", "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"}, 0, "8192\n", ""},
		{"memory limit", []string{"-m", "32m", "busybox", "sh", "-c", "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"}, 0, "33554432\n", ""},
		{"pids limit", []string{"--pids-limit", "7", "busybox", "sh", "-c", "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max"}, 0, "7\n", ""},
		{"open files", []string{"--ulimit", "nofile=123:456", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn"}, 0, "123\n456\n", ""},
		{"sysctl", []string{"--sysctl", "net.ipv4.ip_unprivileged_port_start=77", "busybox", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}, 0, "77\n", ""},
		{"sysctl of the host", []string{"--sysctl", "kernel.panic=1", "busybox", "true"}, 125, "", "kernel.panic"},
		{"no new privileges", []string{"--security-opt", "no-new-privileges", "busybox", "grep", "NoNewPrivs", "/proc/self/status"}, 0, "NoNewPrivs:\t1\n", ""},
		{"default capabilities", []string{"busybox", "grep", "CapEff", "/proc/self/status"}, 0, "CapEff:\t00000000a80425fb\n", ""},
		{"no capabilities", []string{"--cap-drop", "ALL", "busybox", "grep", "CapEff", "/proc/self/status"}, 0, "CapEff:\t0000000000000000\n", ""},
		{"one capability", []string{"--cap-drop", "ALL", "--cap-add", "NET_RAW", "busybox", "grep", "CapEff", "/proc/self/status"}, 0, "CapEff:\t0000000000002000\n", ""},
		{"seccomp is on", []string{"busybox", "grep", "^Seccomp:", "/proc/self/status"}, 0, "Seccomp:\t2\n", ""},
		{"seccomp is off", []string{"--security-opt", "seccomp=unconfined", "busybox", "grep", "^Seccomp:", "/proc/self/status"}, 0, "Seccomp:\t0\n", ""},
		{"privileged", []string{"--privileged", "busybox", "sh", "-c", "grep ^Seccomp: /proc/self/status; mount -t tmpfs none /tmp && echo mounted"}, 0, "Seccomp:\t0\nmounted\n", ""},
		{"unprivileged mount", []string{"busybox", "mount", "-t", "tmpfs", "none", "/tmp"}, 1, "", "ermission denied"},
		{"device", []string{"--device", "/dev/zero:/dev/nothing", "busybox", "sh", "-c", "head -c 3 /dev/nothing | wc -c"}, 0, "3\n", ""},
		{"name of one character", []string{"--name", "a", "busybox", "true"}, 125, "", "Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"unknown network", []string{"--network", "no-such-network", "busybox", "true"}, 125, "", ""},
		{"too little memory", []string{"-m", "1m", "busybox", "true"}, 125, "", "Minimum memory limit allowed is 6MB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.name == "a directory" && olderClient(t) {
				tc.code = 125 // The client makes the code of the sentence, and an older one does not know this one.
			}
			r := arca.Docker(t, append([]string{"run", "--rm"}, tc.args...)...).Exit(tc.code)
			if tc.code != 125 {
				r.Out(tc.out)
			}
			if tc.err != "" {
				r.ErrHas(tc.err)
			}
		})
	}
}

func TestRunImages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ image, args, out string }{
		{"hello-world", "", "Hello from Arca!"},
		{"debian", "cat /etc/debian_version", "1"},
		{"debian:bookworm", "bash -c type\u00a0-t\u00a0perl", "file"},
		{"layers30", "cat /top", "30\n"},
		{"layers30", "ls /layers", "24\n26\n27\n28\n29\n30\n"},
		{"layers30", "ls /hidden", "above\n"},
	} {
		t.Run(tc.image+" "+tc.args, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"run", "--rm", tc.image}, fields(tc.args)...)
			arca.Docker(t, args...).OK().OutHas(tc.out)
		})
	}
}

// fields splits at spaces; a no-break space stands for one within an argument.
func fields(s string) []string {
	f := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
	for i := range f {
		f[i] = strings.ReplaceAll(f[i], "\u00a0", " ")
	}
	return f
}

func TestRunDetachedAndNamed(t *testing.T) {
	t.Parallel()
	name := arca.Container(t)
	id := arca.Docker(t, "run", "-d", "--name", name, "busybox", "sleep", "1000").OK().OutMatches(`^[0-9a-f]{64}\n$`).Line()
	arca.Docker(t, "run", "--name", name, "busybox", "true").Exit(125).
		ErrHas(`Conflict. The container name "/` + name + `" is already in use by container "` + id + `". You have to remove (or rename) that container to be able to reuse that name.`)
	for _, ref := range []string{id, id[:12], id[:20], name, "/" + name} {
		if got := arca.Inspect(t, ref, "{{.Id}} {{.Name}} {{.State.Status}}"); got != id+" /"+name+" running" {
			t.Errorf("inspect %s: %s", ref, got)
		}
	}
}

func TestRunCidfileAndLabels(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "--label", "a=b", "--label", "c", "busybox", "true")
	if got := arca.Inspect(t, name, "{{.Config.Labels}}"); got != "map[a:b c:]" {
		t.Errorf("labels %s", got)
	}
}

// olderClient tells whether the docker CLI is older than the API that the engine serves, as that of Debian 12 is.
func olderClient(t *testing.T) bool {
	t.Helper()
	return strings.HasPrefix(arca.Docker(t, "version", "--format", "{{.Client.Version}}").OK().Line(), "20.")
}
