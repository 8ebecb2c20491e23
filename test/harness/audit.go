package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Audit waits until what the instance holds of the machine is what its containers need: a sandbox, its processes and
// its control groups for each that runs, a writable layer and a directory for those that exist, and no mount at all.
func (i *Instance) Audit(t testing.TB) {
	t.Helper()
	Eventually(t, 30*time.Second, func() error { return i.audit(t) })
}

func (i *Instance) audit(t testing.TB) error {
	t.Helper()
	all, err := i.ids(t, "-a")
	if err != nil {
		return err
	}
	running, err := i.ids(t)
	if err != nil {
		return err
	}
	if id := i.helperSandbox(); id != "" {
		all, running = append(all, id), append(running, id)
	}
	var errs []error
	strangers := func(what string, found, known []string) {
		for _, id := range found {
			if !slices.Contains(known, id) {
				errs = append(errs, fmt.Errorf("%s of %.12s is left", what, id))
			}
		}
	}
	sandboxes := names(filepath.Join(i.Home, "vmhelper", "sandboxes"))
	strangers("the sandbox", sandboxes, running)
	for _, id := range running {
		if id != i.helperSandbox() && !slices.Contains(sandboxes, id) { // The helper may be between two starts.
			errs = append(errs, fmt.Errorf("the sandbox of running container %.12s is not there", id))
		}
	}
	strangers("the writable layer", names(filepath.Join(i.Home, "vmhelper", "uppers")), all)
	strangers("the directory", names(filepath.Join(i.Home, "frontend", "containers")), all)
	strangers("a control group", i.groups(), running)
	strangers("a process", i.sandboxProcesses(t), running)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), i.Home+"/") {
		errs = append(errs, errors.New("something of the instance is mounted on the machine"))
	}
	return errors.Join(errs...)
}

// helperSandbox is the ID of the sandbox of the networks' helper; empty while it was never told.
func (i *Instance) helperSandbox() string {
	raw, err := os.ReadFile(filepath.Join(i.Home, "run", "helper.json"))
	if err != nil {
		return ""
	}
	var s struct{ Sandbox string }
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s.Sandbox
}

func (i *Instance) ids(t testing.TB, flags ...string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), CommandTimeout)
	defer cancel()
	out, err := i.Command(ctx, append([]string{"ps", "-q", "--no-trunc"}, flags...)...).Output()
	return strings.Fields(string(out)), err
}

func names(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// group is the name of the instance's control groups.
func (i *Instance) group() string {
	sum := sha256.Sum256([]byte(i.Home))
	return filepath.Join("arca", hex.EncodeToString(sum[:6]))
}

// groups tells the sandboxes that have control groups.
func (i *Instance) groups() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		dirs, err := filepath.Glob(pattern + i.group() + "/*")
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				all = append(all, filepath.Base(dir))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sandboxProcesses tells the sandboxes that processes are in.
func (i *Instance) sandboxProcesses(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pid := range pids(t) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil {
			continue
		}
		if _, rest, ok := strings.Cut(string(b), "/"+i.group()+"/"); ok {
			id, _, _ := strings.Cut(rest, "\n")
			id, _, _ = strings.Cut(id, "/")
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// SupervisorPID tells the pid of a job's supervisor; 0 when it does not run.
func (i *Instance) SupervisorPID(job string) int { return i.state(job).Supervisor.PID }

// KillEverything kills every process of the instance as the machine's end would: supervisors, daemons, agents and
// containers.
func (i *Instance) KillEverything(t testing.TB) {
	t.Helper()
	Eventually(t, 20*time.Second, func() error {
		left := i.tree(t)
		for _, pid := range pids(t) {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil && strings.Contains(string(b), "/"+i.group()+"/") {
				left = append(left, pid)
			}
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
		if len(left) > 0 {
			return fmt.Errorf("%d processes are left", len(left))
		}
		return nil
	})
}

// HelperProcesses are the processes in the sandbox of the networks' helper whose command has this name; all when empty.
func (i *Instance) HelperProcesses(t testing.TB, name string) (found []int) {
	t.Helper()
	id := i.helperSandbox()
	for _, pid := range pids(t) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err != nil || id == "" || !strings.Contains(string(b), "/"+i.group()+"/"+id) {
			continue
		}
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && (name == "" || strings.TrimSpace(string(comm)) == name) {
			found = append(found, pid)
		}
	}
	return found
}

// HelperState is what the frontend tells of the networks' helper.
func (i *Instance) HelperState() string {
	raw, err := os.ReadFile(filepath.Join(i.Home, "run", "helper.json"))
	if err != nil {
		return err.Error()
	}
	var s struct{ State, Problem string }
	if err := json.Unmarshal(raw, &s); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(s.State + " " + s.Problem)
}
