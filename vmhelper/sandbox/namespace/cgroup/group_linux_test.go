package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

// A start may find groups that another start has made and not filled.
func TestEmptyParentsAreFilled(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "arca", "instance", "box")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for at, value := range map[string]string{top: "0-1\n", filepath.Dir(filepath.Dir(dir)): "\n", filepath.Dir(dir): "", dir: "\n"} {
		if err := os.WriteFile(filepath.Join(at, "cpuset.cpus"), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "cpuset.mems"), []byte("0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeV1(dir, true); err != nil {
		t.Fatal(err)
	}
	for at := dir; at != top; at = filepath.Dir(at) {
		if b, err := os.ReadFile(filepath.Join(at, "cpuset.cpus")); err != nil || string(b) != "0-1\n" {
			t.Errorf("%s: %q, %v", at, b, err)
		}
	}
}
