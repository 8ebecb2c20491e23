package privileged

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSealedProgram holds that nobody can change the one copy of runc that all sandboxes run, which is the defence against
// CVE-2019-5736 here: not through its descriptor, not through one opened anew for writing, not by cutting or growing it.
func TestSealedProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho sealed\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := sealProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&runcSeals != runcSeals {
		t.Fatalf("seals %#x, %v: runc would copy itself at every start", seals, err)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, unix.EBADF) {
		t.Errorf("write through the descriptor: %v", err)
	}
	w, err := os.OpenFile(procFD(int(f.Fd())), os.O_RDWR, 0)
	if err == nil {
		t.Cleanup(func() { _ = w.Close() })
		if _, err := w.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
			t.Errorf("write: %v", err)
		}
		if err := w.Truncate(0); !errors.Is(err, unix.EPERM) {
			t.Errorf("cut: %v", err)
		}
		if _, err := unix.Mmap(int(w.Fd()), 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EPERM) {
			t.Errorf("map: %v", err)
		}
	} else if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		t.Errorf("open for writing: %v", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("add seals: %v", err)
	}
	b, err := os.ReadFile(procFD(int(f.Fd())))
	if err != nil || string(b) != "#!/bin/sh\necho sealed\n" {
		t.Errorf("it holds %q, %v", b, err)
	}
}
