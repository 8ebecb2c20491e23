package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/internal/bootwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// busybox makes a root file system with busybox in it.
func busybox(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("no busybox here (Debian: busybox-static)")
	}
	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "tmp", "proc", "sys", "dev", "data/deep", "var"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"bin/busybox":    string(b),
		"etc/passwd":     "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
		"etc/group":      "root:x:0:\nalice:x:1000:\nwheel:x:10:alice\n",
		"data/file":      "from the image\n",
		"data/deep/file": "deep\n",
		"bin/notexec":    "text\n",
	}
	for name, content := range files {
		mode := os.FileMode(0o644)
		if name == "bin/busybox" {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range strings.Fields("sh cat echo ls sleep id env stat ps dd head tail mkdir touch rm ln true false kill tty stty mount umount readlink find wc seq md5sum nc hostname ip chown chmod mv cp yes test grep trap awk") {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", a)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// attachments are a lower, an upper and what else a test names, as directories.
func attachments(t testing.TB, root string, uppers ...string) []bootwire.Attachment {
	t.Helper()
	out := []bootwire.Attachment{{Kind: bootwire.Share, ID: "lower", Ref: "dir:/arca/shares/lower", File: openTree(t, root), ReadOnly: true}}
	for _, id := range uppers {
		out = append(out, bootwire.Attachment{Kind: bootwire.Upper, ID: id, Ref: "dir:/arca/uppers/" + id, IsDir: true, File: openTree(t, t.TempDir())})
	}
	return out
}

// request is a container of busybox that runs args.
func request(t testing.TB, id string, args ...string) *guestv1.StartRequest {
	t.Helper()
	return &guestv1.StartRequest{
		Mount: &guestv1.MountRequest{ContainerId: id, Lowers: []string{"dir:/arca/shares/lower"}, Upper: "dir:/arca/uppers/" + id},
		Spec:  marshalSpec(t, spec(args...)),
	}
}

func marshalSpec(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var capabilities = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

func process(args ...string) *specs.Process {
	return &specs.Process{
		Args: args, Cwd: "/", Env: []string{"PATH=/bin"},
		Capabilities: &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
	}
}

func spec(args ...string) *specs.Spec {
	return &specs.Spec{
		Version: "1.2.0", Hostname: "test", Process: process(args...),
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777"}},
		},
		Linux: &specs.Linux{
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/sys"},
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"},
				{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(int64(3)), Access: "rwm"}, {Allow: true, Type: "c", Major: new(int64(5)), Access: "rwm"}}},
		},
	}
}

// run runs a container to its end.
func (s *sandbox) run(req *guestv1.StartRequest) (stdout, stderr string, x *guestv1.Exit) {
	s.t.Helper()
	id := req.Mount.ContainerId
	if _, err := s.agent.Start(s.t.Context(), req); err != nil {
		s.t.Fatalf("start: %v", err)
	}
	o, e := s.output(id, "")
	x = s.exit(id, "")
	s.acknowledge(id, "")
	return string(o), string(e), x
}

func TestOutputAndExitCode(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	for range 2 { // The second run finds the root mounted and what the first left gone.
		o, e, x := s.run(request(t, id, "sh", "-c", "echo out; echo err >&2; cat /data/file; exit 7"))
		if o != "out\nfrom the image\n" || e != "err\n" || x.Code != 7 {
			t.Fatalf("got %q, %q, %v", o, e, x)
		}
	}
}
