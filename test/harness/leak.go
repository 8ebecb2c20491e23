package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Snapshot is what an instance holds of the machine.
type Snapshot struct {
	Mounts, Namespaces, Cgroups, Loops, Processes int
	Descriptors                                   map[string]int // by daemon; agents are taken together
	Goroutines                                    int            // of the frontend
}

// Take counts what the instance holds: processes that belong to its daemons' trees or name its home, namespaces those
// processes are in, loop devices backed by its files, its mounts and cgroups.
func (i *Instance) Take(t testing.TB) Snapshot {
	t.Helper()
	s := Snapshot{Descriptors: map[string]int{}}
	s.Mounts = i.mounts(t)
	s.Loops = i.loops(t)
	s.Cgroups = i.cgroups()
	namespaces := map[string]bool{}
	tree := i.tree(t)
	for _, pid := range tree {
		for _, ns := range []string{"pid", "mnt", "net", "ipc", "uts", "cgroup"} {
			if link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err == nil {
				namespaces[link] = true
			}
		}
	}
	s.Namespaces = len(namespaces)
	s.Processes = len(tree)
	for _, job := range []string{"frontend", "vmhelper"} {
		if pid := i.DaemonPID(job); pid > 0 {
			s.Descriptors[job] = countEntries(fmt.Sprintf("/proc/%d/fd", pid))
		}
	}
	s.Descriptors["worker"] = countEntries(fmt.Sprintf("/proc/%d/fd", i.Worker(t)))
	for _, pid := range tree {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(name)) == "arca-guest" {
			s.Descriptors["agents"] += countEntries(fmt.Sprintf("/proc/%d/fd", pid))
		}
	}
	s.Goroutines = i.goroutines(t)
	return s
}

// goroutines asks the frontend how many it has; 0 while it is away.
func (i *Instance) goroutines(t testing.TB) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), CommandTimeout)
	defer cancel()
	out, err := i.Command(ctx, "info", "--format", "{{.NGoroutines}}").Output()
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// DaemonPID tells the pid of a daemon of the instance; 0 when it does not run.
func (i *Instance) DaemonPID(job string) int { return i.state(job).Daemon.PID }

// jobState is what a supervisor tells of itself.
type jobState struct{ Supervisor, Daemon struct{ PID int } }

func (i *Instance) state(job string) jobState {
	var state jobState
	b, err := os.ReadFile(filepath.Join(i.Home, "run", job+".pid"))
	if err != nil || json.Unmarshal(b, &state) != nil {
		return jobState{}
	}
	return state
}

// Back waits until nothing is more than it was; slack is allowed on descriptors and goroutines, which idle connections hold.
func (before Snapshot) Back(t testing.TB, i *Instance, slack int) {
	t.Helper()
	Eventually(t, time.Minute, func() error { // what clients left behind has to end first
		now := i.Take(t)
		var more []string
		for _, c := range []struct {
			what        string
			before, now int
		}{
			{"mounts", before.Mounts, now.Mounts}, {"namespaces", before.Namespaces, now.Namespaces}, {"cgroups", before.Cgroups, now.Cgroups},
			{"loop devices", before.Loops, now.Loops}, {"processes", before.Processes, now.Processes},
		} {
			if c.now > c.before {
				more = append(more, fmt.Sprintf("%s: %d before, %d now", c.what, c.before, c.now))
			}
		}
		for job, n := range now.Descriptors {
			if n > before.Descriptors[job]+slack {
				more = append(more, fmt.Sprintf("descriptors of %s: %d before, %d now", job, before.Descriptors[job], n))
			}
		}
		if now.Goroutines > before.Goroutines+slack {
			more = append(more, fmt.Sprintf("goroutines of the frontend: %d before, %d now", before.Goroutines, now.Goroutines))
		}
		if len(more) > 0 {
			return fmt.Errorf("left behind: %s", strings.Join(more, "; "))
		}
		return nil
	})
}

// tree tells the processes below the instance's supervisors, and those that name its home on their command line.
func (i *Instance) tree(t testing.TB) []int {
	t.Helper()
	parents := map[int]int{}
	mine := map[int]bool{}
	for _, pid := range pids(t) {
		parents[pid] = Parent(pid)
		if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && i.owns(string(cmdline)) {
			mine[pid] = true
		}
	}
	var all []int
	for pid := range parents {
		for p, depth := pid, 0; p > 1 && depth < 64; p, depth = parents[p], depth+1 {
			if mine[p] {
				all = append(all, pid)
				break
			}
		}
	}
	return all
}

// owns tells whether a command line is a daemon's or a supervisor's of this instance.
func (i *Instance) owns(cmdline string) bool {
	program, _, _ := strings.Cut(cmdline, "\x00")
	return strings.HasPrefix(filepath.Base(program), "arca") && strings.Contains(cmdline, i.Home)
}

// Parent tells the parent of a process; 0 when it has ended.
func Parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}

func pids(t testing.TB) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

func (i *Instance) loops(t testing.TB) int {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), i.Home+"/") {
			n++
		}
	}
	return n
}

func (i *Instance) cgroups() int {
	n := 0
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		tops, err := filepath.Glob(pattern + i.group())
		if err != nil {
			continue
		}
		for _, top := range tops {
			_ = filepath.WalkDir(top, func(_ string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					n++
				}
				return nil // a cgroup that goes meanwhile is none
			})
		}
	}
	return n
}

// mounts counts what is mounted on the machine from, or below, the instance's directory.
func (i *Instance) mounts(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), i.Home+"/")
}

func countEntries(dir string) int {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(entries)
}

// Worker tells the pid of vmhelper's worker, a child of the keeper beside the agents; 0 when it does not run.
func (i *Instance) Worker(t testing.TB) int {
	t.Helper()
	keeper := i.DaemonPID("vmhelper")
	for _, pid := range pids(t) {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(string(cmdline), "arca-vmhelper\x00worker\x00") && Parent(pid) == keeper {
			return pid
		}
	}
	return 0
}

// ContainerPID tells the first process of a running container, as the host numbers it.
func (i *Instance) ContainerPID(t testing.TB, name string) int {
	t.Helper()
	marker := "HOSTNAME=" + i.Inspect(t, name, "{{.Config.Hostname}}") + "\x00"
	within := func(pid int) bool {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return err == nil && strings.Contains(string(environ), marker)
	}
	for _, pid := range pids(t) {
		if within(pid) && !within(Parent(pid)) {
			return pid
		}
	}
	t.Fatalf("no process of %s is found", name)
	return 0
}

// Kill kills a process as a crash would.
func Kill(t testing.TB, what string, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("%s does not run", what)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s (%d): %v", what, pid, err)
	}
}

// WaitReplaced waits until a process found by find is there and is not the old one.
func WaitReplaced(t testing.TB, what string, old int, find func() int) {
	t.Helper()
	Eventually(t, 20*time.Second, func() error {
		if now := find(); now == 0 || now == old {
			return fmt.Errorf("%s is not replaced: %d, was %d", what, now, old)
		}
		return nil
	})
}
