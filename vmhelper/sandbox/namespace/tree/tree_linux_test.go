package tree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deep makes a chain of directories that is longer than a path may be.
func deep(t *testing.T, dir string, n int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for range n {
		must(t, unix.Mkdirat(at, "dddddddddd", 0o755))
		next, err := unix.Openat(at, "dddddddddd", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
}

func TestRemoveFollowsNothingAndReachesEverything(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "keep"), nil, 0o600))
	tree := filepath.Join(root, "x")
	must(t, os.MkdirAll(filepath.Join(tree, "a", "b"), 0o700))
	must(t, os.Symlink(outside, filepath.Join(tree, "a", "link")))
	must(t, unix.Mkfifo(filepath.Join(tree, "fifo"), 0o600))
	for i := range 1500 {
		must(t, os.WriteFile(filepath.Join(tree, "a", "b", "f"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676))), nil, 0o600))
	}
	deep(t, filepath.Join(tree, "a"), 1000)
	must(t, Remove(open(t, root), "x"))
	left, err := os.ReadDir(root)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "keep")); err != nil {
		t.Error(err)
	}
	must(t, Remove(open(t, root), "x"))
}

func TestRemoveOfALinkTakesTheLink(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "keep"), nil, 0o600))
	must(t, os.Symlink(outside, filepath.Join(root, "x")))
	must(t, Remove(open(t, root), "x"))
	if _, err := os.Stat(filepath.Join(outside, "keep")); err != nil {
		t.Error(err)
	}
}

func TestUsageCountsEachFileOnce(t *testing.T) {
	root := t.TempDir()
	tree := filepath.Join(root, "x")
	must(t, os.Mkdir(tree, 0o700))
	must(t, os.WriteFile(filepath.Join(tree, "f"), make([]byte, 1<<20), 0o600))
	before, err := Usage(open(t, root), "x")
	must(t, err)
	must(t, os.Link(filepath.Join(tree, "f"), filepath.Join(tree, "g")))
	must(t, os.Symlink("/", filepath.Join(tree, "root")))
	after, err := Usage(open(t, root), "x")
	must(t, err)
	if before < 1<<20 || after > before+8192 {
		t.Errorf("%d, with a link %d", before, after)
	}
	deep(t, tree, 1000)
	if _, err := Usage(open(t, root), "x"); err != nil {
		t.Error(err)
	}
	if _, err := Usage(open(t, root), "absent"); err == nil {
		t.Error("measured what is absent")
	}
	must(t, Remove(open(t, root), "x"))
}

// TestRemoveTakesImmutableFiles: a privileged container has set attributes that keep even root from removing.
func TestRemoveTakesImmutableFiles(t *testing.T) {
	root := t.TempDir()
	tree := filepath.Join(root, "x")
	must(t, os.MkdirAll(filepath.Join(tree, "d", "sub"), 0o700))
	must(t, os.WriteFile(filepath.Join(tree, "d", "plain"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(tree, "d", "fixed"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(tree, "log"), nil, 0o600))
	for name, flag := range map[string]int{"d/fixed": 0x10, "log": 0x20, "d/sub": 0x20, "d": 0x10, "": 0x10} {
		f := open(t, filepath.Join(tree, name))
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag); err != nil {
			_ = Remove(open(t, root), "x") // What was set already would keep the test's directory.
			t.Skipf("this file system or user cannot set attributes: %v", err)
		}
	}
	if err := os.RemoveAll(tree); err == nil {
		t.Fatal("the attributes hold nothing here")
	}
	must(t, Remove(open(t, root), "x"))
	if left, err := os.ReadDir(root); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
