package privileged

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/peercred"
)

const nobody = 65534

func TestBindsAreOpenedWithTheOwnersRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	base, err := os.MkdirTemp("/tmp", "bind") //nolint:usetesting // Another user must be able to reach it.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	private, public, own := filepath.Join(base, "private"), filepath.Join(base, "public"), filepath.Join(base, "own")
	for path, mode := range map[string]os.FileMode{base: 0o755, private: 0o700, public: 0o755, own: 0o755} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(own, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	o := owner{uid: nobody, gid: nobody, groups: []uint32{nobody}}
	if _, _, err := o.open(private, false); !errdefs.IsPermissionDenied(err) {
		t.Errorf("a private directory: %v", err)
	}
	if _, _, err := o.open(filepath.Join(public, "new"), true); !errdefs.IsPermissionDenied(err) {
		t.Errorf("making a directory where the owner may not: %v", err)
	}
	f, st, err := o.open(filepath.Join(own, "new", "er"), true)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if st.Uid != nobody || st.Gid != nobody {
		t.Errorf("a made directory belongs to %d:%d", st.Uid, st.Gid)
	}
	if k, err := o.kind(public); err != nil || k != BindDirectory {
		t.Error(k, err)
	}
	if k, err := o.kind(filepath.Join(public, "absent")); err != nil || k != BindAbsent {
		t.Error(k, err)
	}
	if _, err := o.kind(filepath.Join(private, "x")); !errdefs.IsPermissionDenied(err) {
		t.Error(err)
	}
	if unix.Geteuid() != 0 {
		t.Error("the process lost its uid")
	}
}

func TestASocketSeesTheOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "sock") //nolint:usetesting // Another user must be able to reach it.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	o := owner{uid: nobody, gid: nobody}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sock, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := o.connect(sock); !errdefs.IsPermissionDenied(err) {
		t.Errorf("a private socket: %v", err)
	}
	if err := os.Chmod(sock, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := o.connect(sock)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if p, err := peercred.Of(c); err != nil || p.UID != nobody {
		t.Error(p, err)
	}
}
