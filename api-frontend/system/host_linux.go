package system

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

func measureHost() host {
	h := host{cgroup: measureCgroup(cgroupRoot), system: osRelease("PRETTY_NAME"), release: osRelease("VERSION_ID")}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		h.kernel, h.machine = unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:])
	}
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err == nil {
		h.memory = int64(si.Totalram) * int64(si.Unit) //nolint:unconvert // The field's width differs by architecture.
	}
	forward, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	h.forward = err == nil && strings.TrimSpace(string(forward)) == "1"
	if there("/proc/sys/kernel/seccomp/actions_avail") {
		h.options = append(h.options, "name=seccomp,profile=builtin")
	}
	if there("/proc/self/ns/cgroup") {
		h.options = append(h.options, "name=cgroupns")
	}
	return h
}

// descriptors counts the open ones of this process.
func (*host) descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// measureCgroup looks at what a cgroup file system offers: version 2 lists its controllers, version 1 has a directory
// for each.
func measureCgroup(root string) cgroup {
	if text, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		has := func(name string) bool { return slices.Contains(strings.Fields(string(text)), name) }
		swaps, err := filepath.Glob(filepath.Join(root, "*", "memory.swap.max"))
		return cgroup{version: "2", memory: has("memory"), swap: err == nil && len(swaps) > 0, cfs: has("cpu"), shares: has("cpu"),
			cpuset: has("cpuset"), pids: has("pids")}
	}
	in := func(names ...string) bool { return there(filepath.Join(append([]string{root}, names...)...)) }
	return cgroup{
		version:        "1",
		memory:         in("memory", "memory.limit_in_bytes"),
		swap:           in("memory", "memory.memsw.limit_in_bytes"),
		oomKillDisable: in("memory", "memory.oom_control"),
		cfs:            in("cpu", "cpu.cfs_quota_us"),
		shares:         in("cpu", "cpu.shares"),
		cpuset:         in("cpuset", "cpuset.cpus"),
		pids:           in("pids"),
	}
}

// osRelease reads a field of os-release.
func osRelease(field string) string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), field+"="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return ""
}
