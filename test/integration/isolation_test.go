//go:build integration

package integration

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

// TestDefaultContainerStatus holds what a default container may to what it is in Docker.
func TestDefaultContainerStatus(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, line := range arca.Docker(t, "run", "--rm", "busybox", "cat", "/proc/self/status").OK().Lines() {
		key, value, _ := strings.Cut(line, ":")
		got[key] = strings.Join(strings.Fields(value), " ")
	}
	for key, want := range map[string]string{
		"Uid": "0 0 0 0", "Gid": "0 0 0 0", "NoNewPrivs": "0", "Seccomp": "2", "Seccomp_filters": "1",
		"CapInh": "0000000000000000", "CapPrm": "00000000a80425fb", "CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb", "CapAmb": "0000000000000000",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// TestContainerSees tells what a default container sees of its world, and nothing else.
func TestContainerSees(t *testing.T) {
	t.Parallel()
	neighbour := arca.Sleeper(t, "-e", "SECRET=of-the-neighbour")
	name := arca.Sleeper(t)
	for _, tc := range []struct{ what, script, want string }{
		{"its descriptors alone", "ls /proc/self/fd", "0\n1\n2\n3\n"}, // 3 is of ls
		{"devices", "ls /dev | grep -vx -e core -e console", "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"},
		{"no block device", "ls -l /dev | grep -c '^b'", "0\n"},
		{"no socket", "find / -xdev -type s 2>/dev/null; true", ""},
		{"no abstract socket", "grep -c @ /proc/net/unix", "0\n"},
		{"its own root as that of process 1", "ls -d /proc/1/root/arca /proc/1/root" + arca.Home + " 2>&1 | grep -vc 'No such file'", "0\n"},
		{"no process of others", "cat /proc/[0-9]*/environ | grep -c of-the-neighbour", "0\n"},
		{"no agent", "cat /proc/[0-9]*/comm | grep -c arca", "0\n"},
		{"no memory of the kernel", "cat /proc/kcore | wc -c; cat /proc/keys | wc -c; cat /proc/timer_list 2>/dev/null | wc -c", "0\n0\n0\n"},
		{"no firmware", "ls /sys/firmware | wc -l", "0\n"},
		{"a read-only /proc/sys", "echo 1 > /proc/sys/kernel/panic || true", ""},
		{"a read-only /proc/sysrq-trigger", "(echo h > /proc/sysrq-trigger) 2>/dev/null && echo written; true", ""},
		{"a read-only /sys", "touch /sys/x 2>/dev/null && echo written; true", ""},
		{"a loop device of its own making, closed", "mknod /tmp/loop b 7 0 && head -c 1 /tmp/loop 2>/dev/null | wc -c", "0\n"},
		{"a disk of its own making, closed", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk 2>/dev/null | wc -c", "0\n"},
		{"memory of its own making, closed", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem 2>/dev/null | wc -c", "0\n"},
		{"no mount", "mount -t tmpfs none /mnt 2>/dev/null && echo mounted; true", ""},
		{"no other namespace", "nsenter -t 1 -m true 2>/dev/null && echo entered; unshare -m true 2>/dev/null && echo left; true", ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			r := arca.Docker(t, "exec", name, "sh", "-c", tc.script)
			if r.Stdout != tc.want {
				t.Errorf("%s\nstdout %q, want %q\nstderr %s", tc.script, r.Stdout, tc.want, r.Stderr)
			}
		})
	}
	arca.Docker(t, "exec", neighbour, "true").OK()
}

// TestNoVSockets: the family that reaches a sandbox's host is closed to a default container.
func TestNoVSockets(t *testing.T) {
	t.Parallel()
	const script = `use Socket; print socket(my $s, 40, SOCK_STREAM, 0) ? "open" : "closed"`
	arca.Docker(t, "run", "--rm", "debian", "perl", "-e", script).OK().Out("closed")
}

// TestPrivileged: a privileged container has the machine's devices and every capability that the machine has.
func TestPrivileged(t *testing.T) {
	t.Parallel()
	r := arca.Docker(t, "run", "--rm", "--privileged", "busybox", "sh", "-c", "ls -l /dev | grep -c '^b'; grep CapEff /proc/self/status").OK()
	if lines := r.Lines(); len(lines) != 2 || lines[0] == "0" || strings.HasSuffix(lines[1], "a80425fb") {
		t.Errorf("%q", lines)
	}
}

// TestCopyWhileLinksAreSwapped: a path that turns into a link while it is copied never leads out of the container.
func TestCopyWhileLinksAreSwapped(t *testing.T) {
	t.Parallel()
	host := hostDir(t)
	if err := os.WriteFile(filepath.Join(host, "secret"), []byte("host secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	name := arca.Start(t, "busybox", "sh", "-c",
		"mkdir -p /a/swap /b; echo inner > /a/swap/secret; ln -s "+host+" /b/swap; ln -s "+host+" /b/link; while :; do mv /a/swap /a/away; mv /b/swap /a/swap; mv /a/swap /b/swap; mv /a/away /a/swap; done")
	in, out := filepath.Join(t.TempDir(), "planted"), t.TempDir()
	if err := os.WriteFile(in, []byte("planted"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), harness.CommandTimeout)
		defer cancel()
		err := arca.Command(ctx, args...).Run()
		return errors.Join(ctx.Err(), err)
	}
	copied := 0
	for range 60 {
		if run("cp", in, name+":/a/swap/") == nil {
			copied++
		}
		got := filepath.Join(out, "got")
		if run("cp", name+":/a/swap/secret", got) == nil {
			copied++
			if b, err := os.ReadFile(got); err != nil || strings.Contains(string(b), "host") {
				t.Fatalf("it copied %q, %v", b, err)
			}
		}
	}
	if copied == 0 {
		t.Error("nothing could be copied at all")
	}
	entries, err := os.ReadDir(host)
	if err != nil || len(entries) != 1 {
		t.Errorf("on the host: %v, %v", entries, err)
	}
}

// TestBrowsersAreRefused: a web page cannot speak to the engine by way of its reader's browser.
func TestBrowsersAreRefused(t *testing.T) {
	t.Parallel()
	client := arca.Client()
	defer client.CloseIdleConnections()
	for _, path := range []string{"/_ping", "/v1.51/containers/json", "/containers/create"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://arca"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://example.com")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	info, err := os.Stat(arca.Socket())
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); !slices.Contains([]os.FileMode{0o660, 0o600}, mode) {
		t.Errorf("the API socket has mode %o", mode)
	}
}
