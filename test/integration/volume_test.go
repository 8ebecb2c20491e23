//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

func TestVolumes(t *testing.T) {
	t.Parallel()
	volume := arca.Volume(t, "--label", "a=b")
	arca.Docker(t, "run", "--rm", "-v", volume+":/data", "busybox", "sh", "-c", "echo kept > /data/f").OK()
	arca.Docker(t, "run", "--rm", "-v", volume+":/elsewhere:ro", "busybox", "cat", "/elsewhere/f").OK().Out("kept\n")
	arca.Docker(t, "run", "--rm", "-v", volume+":/data:ro", "busybox", "touch", "/data/g").Exit(1).ErrHas("Read-only file system")
	arca.Docker(t, "run", "--rm", "--mount", "type=volume,src="+volume+",dst=/m", "busybox", "ls", "/m").OK().Out("f\n")
	if got := arca.Docker(t, "volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}", volume).OK().Line(); got != volume+" local local map[a:b]" {
		t.Error(got)
	}
	arca.Docker(t, "volume", "ls", "-q", "--filter", "name="+volume).OK().Out(volume + "\n")
	name := arca.Sleeper(t, "-v", volume+":/data")
	id := arca.Inspect(t, name, "{{.Id}}")
	arca.Docker(t, "volume", "rm", volume).Exit(1).ErrHas("volume is in use - [" + id + "]")
	arca.Docker(t, "volume", "ls", "-q", "--filter", "dangling=true", "--filter", "name="+volume).OK().Out("")
	arca.Docker(t, "volume", "inspect", "no-such").Exit(1).ErrHas("no such volume")
	arca.Docker(t, "volume", "create", "a/b").Exit(1).ErrHas("includes invalid characters for a local volume name")
}

func TestVolumeSubpath(t *testing.T) {
	t.Parallel()
	volume := arca.Volume(t)
	arca.Docker(t, "run", "--rm", "-v", volume+":/v", "busybox", "sh", "-c", "mkdir -p /v/a/b && echo deep > /v/a/b/f && ln -s / /v/out").OK()
	arca.Docker(t, "run", "--rm", "--mount", "type=volume,src="+volume+",dst=/m,volume-subpath=a/b", "busybox", "cat", "/m/f").OK().Out("deep\n")
	arca.Docker(t, "run", "--rm", "--mount", "type=volume,src="+volume+",dst=/m,volume-subpath=no/such", "busybox", "true").Exit(125)
	arca.Docker(t, "run", "--rm", "--mount", "type=volume,src="+volume+",dst=/m,volume-subpath=out/etc", "busybox", "ls", "/m").OutLacks("passwd")
}

func TestVolumeCopyUp(t *testing.T) {
	t.Parallel()
	volume := arca.Volume(t)
	arca.Docker(t, "run", "--rm", "-v", volume+":/etc", "busybox", "true").OK()
	arca.Docker(t, "run", "--rm", "-v", volume+":/x", "busybox", "ls", "/x").OK().OutHas("passwd", "group")
	empty := arca.Volume(t)
	arca.Docker(t, "run", "--rm", "-v", empty+":/etc:nocopy", "busybox", "ls", "/etc").OK().OutLacks("passwd")
}

func TestAnonymousVolumes(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "-v", "/data", "busybox", "true")
	volume := arca.Inspect(t, name, "{{(index .Mounts 0).Name}}")
	if len(volume) != 64 {
		t.Fatalf("the name of an anonymous volume: %q", volume)
	}
	arca.Docker(t, "wait", name).OK()
	arca.Docker(t, "rm", name).OK()
	arca.Docker(t, "volume", "inspect", volume).OK() // without -v it stays
	arca.Docker(t, "volume", "rm", volume).OK()
	first := arca.Start(t, "-v", "/shared", "busybox", "sh", "-c", "echo x > /shared/f; sleep 1000")
	harness.Eventually(t, harness.CommandTimeout, func() error {
		_, err := arca.Command(t.Context(), "exec", first, "test", "-s", "/shared/f").Output()
		return err
	})
	arca.Docker(t, "run", "--rm", "--volumes-from", first, "busybox", "cat", "/shared/f").OK().Out("x\n")
	arca.Docker(t, "run", "--rm", "--volumes-from", first+":ro", "busybox", "touch", "/shared/g").Exit(1)
}

func TestBinds(t *testing.T) {
	t.Parallel()
	dir := hostDir(t)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	arca.Docker(t, "run", "--rm", "-v", dir+":/b", "busybox", "sh", "-c", "cat /b/f; echo guest > /b/g").OK().Out("host\n")
	if b, err := os.ReadFile(filepath.Join(dir, "g")); err != nil || string(b) != "guest\n" {
		t.Errorf("%q, %v", b, err)
	}
	arca.Docker(t, "run", "--rm", "-v", dir+":/b:ro", "busybox", "touch", "/b/h").Exit(1).ErrHas("Read-only file system")
	arca.Docker(t, "run", "--rm", "-v", filepath.Join(dir, "f")+":/one", "busybox", "cat", "/one").OK().Out("host\n")
	arca.Docker(t, "run", "--rm", "--mount", "type=bind,src="+dir+",dst=/b", "busybox", "cat", "/b/f").OK().Out("host\n")
	missing := filepath.Join(dir, "missing")
	arca.Docker(t, "run", "--rm", "--mount", "type=bind,src="+missing+",dst=/b", "busybox", "true").Exit(125).ErrHas("bind source path does not exist: " + missing)
	arca.Docker(t, "run", "--rm", "-v", missing+":/b", "busybox", "ls", "/b").OK().Out("")
	if info, err := os.Stat(missing); err != nil || !info.IsDir() {
		t.Errorf("-v makes a missing source a directory: %v", err)
	}
	arca.Docker(t, "run", "--rm", "-v", "relative/path:/b", "busybox", "true").Exit(125).ErrHas("includes invalid characters for a local volume name")
	arca.Docker(t, "run", "--rm", "-v", dir+":relative", "busybox", "true").Exit(125).ErrHas("invalid mount path: 'relative' mount path must be absolute")
	arca.Docker(t, "run", "--rm", "-v", dir+":/same", "-v", filepath.Dir(dir)+":/same", "busybox", "true").Exit(125).ErrHas("Duplicate mount point: /same")
}

// hostDir is a directory of the host that is removed in the end whoever owns its content.
func hostDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "arca-bind-") //nolint:usetesting // What containers write there is not the test's to remove.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestBindSocket(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "pull", "-q", "nginx").OK() // it has curl
	arca.Docker(t, "run", "--rm", "-v", arca.Socket()+":/var/run/docker.sock", "nginx", "curl", "-s", "--unix-socket", "/var/run/docker.sock", "http://d/_ping").OK().Out("OK")
	arca.Docker(t, "run", "--rm", "--mount", "type=bind,src="+arca.Socket()+",dst=/s", "nginx", "curl", "-s", "--unix-socket", "/s", "http://d/version").OK().OutHas(`"ApiVersion":"1.51"`)
}

func TestCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("tree/a", "A")
	write("tree/deep/b", "B")
	file := write("file", "text")
	for _, state := range []string{"created", "running", "exited"} {
		t.Run(state, func(t *testing.T) {
			name := arca.Container(t)
			arca.Docker(t, "create", "--name", name, "-v", "/vol", "busybox", "sh", "-c", "echo original > /made; "+map[string]string{"exited": "exit", "running": "sleep 1000"}[state]).OK()
			if state != "created" {
				arca.Docker(t, "start", name).OK()
			}
			if state == "exited" {
				arca.Docker(t, "wait", name).OK()
			}
			arca.Docker(t, "cp", file, name+":/tmp/").OK()
			arca.Docker(t, "cp", file, name+":/vol/in-volume").OK()
			arca.Docker(t, "cp", filepath.Join(dir, "tree"), name+":/tmp/tree").OK()
			out := t.TempDir()
			arca.Docker(t, "cp", name+":/tmp/file", out).OK()
			arca.Docker(t, "cp", name+":/vol/in-volume", out).OK()
			arca.Docker(t, "cp", name+":/tmp/tree/.", filepath.Join(out, "back")).OK()
			for path, want := range map[string]string{"file": "text", "in-volume": "text", "back/a": "A", "back/deep/b": "B"} {
				if b, err := os.ReadFile(filepath.Join(out, path)); err != nil || string(b) != want {
					t.Errorf("%s: %q, %v", path, b, err)
				}
			}
			arca.Docker(t, "cp", name+":/no/such", out).Exit(1).ErrHas("Could not find the file /no/such in container " + name)
			arca.Docker(t, "cp", file, name+":/no/such/dir/").Exit(1)
			if got := arca.Inspect(t, name, "{{.State.Status}}"); got != state {
				t.Errorf("copying changed the state to %s", got)
			}
			diff := arca.Docker(t, "diff", name).OK().Lines()
			if !slices.Contains(diff, "A /tmp/file") || !slices.Contains(diff, "A /tmp/tree/deep/b") {
				t.Errorf("diff %q", diff)
			}
		})
	}
}

// A link of the container never leads out of it (CVE-2018-15664).
func TestCopyStaysInside(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(hostDir(t), "secret")
	if err := os.WriteFile(secret, []byte("host secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	name := arca.Start(t, "busybox", "sh", "-c", "ln -s "+secret+" /link; ln -s "+filepath.Dir(secret)+" /dirlink; ln -s ../../../../../.. /up; sleep 1000")
	out := t.TempDir()
	harness.Eventually(t, harness.CommandTimeout, func() error {
		return arca.Command(t.Context(), "exec", name, "ls", "-d", "/up").Run()
	})
	arca.Docker(t, "cp", "-L", name+":/link", filepath.Join(out, "x")).Exit(1)
	arca.Docker(t, "cp", name+":/dirlink/secret", filepath.Join(out, "y")).Exit(1)
	arca.Docker(t, "cp", name+":/up/etc/hostname", filepath.Join(out, "z")).OK()
	host, err := os.ReadFile("/etc/hostname")
	if err == nil && len(strings.TrimSpace(string(host))) > 0 {
		if b, err := os.ReadFile(filepath.Join(out, "z")); err != nil || string(b) == string(host) {
			t.Errorf("hostname %q, %v", b, err)
		}
	}
}

func TestExportAndTmpfs(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "run", "--rm", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1048576,tmpfs-mode=0700", "busybox", "stat", "-c", "%a", "/t").OK().Out("700\n")
}
