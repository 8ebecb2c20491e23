package system

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMeasureCgroup(t *testing.T) {
	unified, legacy := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		unified + "/cgroup.controllers":           "cpuset cpu memory pids",
		unified + "/system.slice/memory.swap.max": "max",
		legacy + "/memory/memory.limit_in_bytes":  "1",
		legacy + "/memory/memory.oom_control":     "0",
		legacy + "/cpu/cpu.cfs_quota_us":          "1",
		legacy + "/pids/tasks":                    "",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := measureCgroup(unified), (cgroup{version: "2", memory: true, swap: true, cfs: true, shares: true, cpuset: true, pids: true}); got != want {
		t.Errorf("unified: %+v", got)
	}
	if got, want := measureCgroup(legacy), (cgroup{version: "1", memory: true, cfs: true, pids: true, oomKillDisable: true}); got != want {
		t.Errorf("legacy: %+v", got)
	}
}
