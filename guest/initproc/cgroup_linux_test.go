package initproc

import (
	"os"
	"path/filepath"
	"testing"
)

// The files of a real tree exist; in this one they are written as the kernel would see it.
func TestDelegate(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "agent"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": "", "agent/cgroup.procs": ""} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := delegate(root); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"agent/cgroup.procs": "0", "cgroup.subtree_control": "+pids"} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	// What cannot be enabled is left out.
	if err := os.Remove(filepath.Join(root, "cgroup.subtree_control")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "cgroup.subtree_control"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := delegate(root); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(root, "cgroup.controllers")); err != nil {
		t.Fatal(err)
	}
	if err := delegate(root); err == nil {
		t.Error("a tree without controllers was taken")
	}
}
