package runtime

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"go.uber.org/goleak"
)

// group makes a control group of version 2 out of files.
func group(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUnifiedStats(t *testing.T) {
	dir := group(t, map[string]string{
		"cpu.stat":       "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 7\nnr_throttled 3\nthrottled_usec 5\n",
		"memory.current": "4096\n", "memory.max": "8192\n", "memory.stat": "anon 100\nfile 200\ninactive_file 50\n",
		"memory.events": "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n",
		"pids.current":  "3\n", "pids.max": "max\n",
		"io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nnonsense\n8:16\n",
	})
	var s container.StatsResponse
	statsUnified(&s, dir)
	cpu := s.CPUStats.CPUUsage
	if cpu.TotalUsage != 3_000_000 || cpu.UsageInUsermode != 2_000_000 || cpu.UsageInKernelmode != 1_000_000 {
		t.Errorf("cpu %+v", cpu)
	}
	if th := s.CPUStats.ThrottlingData; th.Periods != 7 || th.ThrottledPeriods != 3 || th.ThrottledTime != 5000 {
		t.Errorf("throttling %+v", th)
	}
	if m := s.MemoryStats; m.Usage != 4096 || m.Limit != 8192 || m.Failcnt != 2 || m.Stats["inactive_file"] != 50 {
		t.Errorf("memory %+v", m)
	}
	if s.PidsStats.Current != 3 || s.PidsStats.Limit != math.MaxUint64 {
		t.Errorf("pids %+v", s.PidsStats)
	}
	if io := s.BlkioStats.IoServiceBytesRecursive; len(io) != 2 || io[0] != (container.BlkioStatEntry{Major: 8, Op: "read", Value: 1}) {
		t.Errorf("io %+v", io)
	}
	statsUnified(&container.StatsResponse{}, dir+"/absent") // A group that has gone.
}

func TestUnifiedOutOfMemory(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := group(t, map[string]string{"memory.events": "oom 0\noom_kill 0\n"})
	events := filepath.Join(dir, "memory.events")
	w := &OOMWatch{group: dir, v2: true}
	if err := w.notify(); err != nil {
		t.Fatal(err)
	}
	next := make(chan bool, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	wait := func() { next <- w.Next(ctx) }
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(events, os.O_WRONLY, 0) // The kernel changes it in place.
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	go wait()
	write("oom 1\noom_kill 0\n") // A limit that was met is no death.
	select {
	case <-next:
		t.Fatal("told without a kill")
	case <-time.After(50 * time.Millisecond):
	}
	write("oom 1\noom_kill 1\n")
	if !<-next {
		t.Fatal("the watch ended")
	}
	go wait()
	if err := os.RemoveAll(dir); err != nil { // The group goes.
		t.Fatal(err)
	}
	if <-next {
		t.Fatal("a group that has gone ran out of memory")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveGroupTakesGroupsBelow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeGroup(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := removeGroup(dir); err != nil {
		t.Fatal(err)
	}
}
