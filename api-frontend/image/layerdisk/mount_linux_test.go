package layerdisk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/api-frontend/image/imagetest"
)

// mounted mounts a layer's disk and returns the folder of its content.
func mounted(t *testing.T, files ...imagetest.File) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	path, _ := disk(t, imagetest.Gzip(t, imagetest.Tar(t, files...)))
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop,ro", path, dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "rootfs")
}

func TestMountedContent(t *testing.T) {
	const long = "a-symbolic-link-target-that-does-not-fit-into-an-inode-because-it-is-longer-than-sixty-bytes"
	root := mounted(t,
		imagetest.File{Name: "./", Mode: 0o711},
		imagetest.File{Name: "etc/passwd", Body: "root", UID: 70000, GID: 7},
		imagetest.File{Name: "/abs/../climbed/../../x", Body: "inside"},
		imagetest.File{Name: "usr/bin/su", Body: "s", Mode: 0o4755},
		imagetest.File{Name: "usr/bin/hard", Type: '1', Link: "/usr/bin/su"},
		imagetest.File{Name: "lib", Type: '2', Link: "usr/lib"},
		imagetest.File{Name: "lib/libc.so", Body: "libc"},
		imagetest.File{Name: "long", Type: '2', Link: long},
		imagetest.File{Name: "weird \xff\n name", Body: "w"},
		imagetest.File{Name: "cap", Body: "c", Xattrs: map[string]string{"security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "trusted.overlay.redirect": "/etc"}},
		imagetest.File{Name: "twice", Body: "first"},
		imagetest.File{Name: "opaque/.wh..wh..opq"},
		imagetest.File{Name: "opaque/", Mode: 0o700},
		imagetest.File{Name: "opaque/kept", Body: "k"},
		imagetest.File{Name: "dir/.wh.gone"},
		imagetest.File{Name: "dir/.wh.back"},
		imagetest.File{Name: "dir/back", Body: "again"},
		imagetest.File{Name: "twice", Body: "second"},
		imagetest.File{Name: "fifo", Type: '6'},
	)
	for name, want := range map[string]string{
		"etc/passwd": "root", "x": "inside", "usr/bin/hard": "s", "usr/lib/libc.so": "libc", "weird \xff\n name": "w",
		"twice": "second", "opaque/kept": "k", "dir/back": "again",
	} {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	stat := func(name string) *syscall.Stat_t {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(root, name), &st); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return &st
	}
	if st := stat("."); st.Mode&0o7777 != 0o711 {
		t.Errorf("root's mode %o", st.Mode)
	}
	if st := stat("etc/passwd"); st.Uid != 70000 || st.Gid != 7 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	if st := stat("usr/bin/su"); st.Mode&0o7777 != 0o4755 || st.Nlink != 2 || st.Ino != stat("usr/bin/hard").Ino {
		t.Errorf("setuid and links: %o %d", st.Mode, st.Nlink)
	}
	if st := stat("etc"); st.Mode&0o7777 != 0o755 {
		t.Errorf("an implied folder has mode %o", st.Mode)
	}
	if st := stat("dir/gone"); st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != 0 {
		t.Errorf("whiteout is %o %d", st.Mode, st.Rdev)
	}
	if st := stat("opaque"); st.Mode&0o7777 != 0o700 {
		t.Errorf("opaque folder's mode %o", st.Mode)
	}
	if got, err := os.Readlink(filepath.Join(root, "long")); err != nil || got != long {
		t.Errorf("long link %q, %v", got, err)
	}
	buf := make([]byte, 64)
	if n, err := unix.Getxattr(filepath.Join(root, "opaque"), "trusted.overlay.opaque", buf); err != nil || string(buf[:n]) != "y" {
		t.Errorf("opaque mark: %q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Getxattr(filepath.Join(root, "cap"), "security.capability", buf); err != nil || n != 20 {
		t.Errorf("capability: %d, %v", n, err)
	}
	if _, err := unix.Getxattr(filepath.Join(root, "cap"), "trusted.overlay.redirect", buf); err == nil {
		t.Error("an overlay redirect came through")
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "lost+found" || strings.HasPrefix(e.Name(), ".wh.") {
			t.Errorf("visible: %s", e.Name())
		}
	}
}
