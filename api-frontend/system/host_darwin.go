package system

import (
	"os"

	"golang.org/x/sys/unix"
)

// measureHost describes the Mac. What can be limited is what the guests' kernel can, which is ours: all of it.
func measureHost() host {
	h := host{
		system:  "macOS",
		machine: "x86_64",
		forward: true,
		cgroup:  cgroup{version: "2", memory: true, swap: true, cfs: true, shares: true, cpuset: true, pids: true},
		options: []string{"name=seccomp,profile=builtin", "name=cgroupns"},
	}
	if release, err := unix.Sysctl("kern.osproductversion"); err == nil {
		h.release, h.system = release, "macOS "+release
	}
	if kernel, err := unix.Sysctl("kern.osrelease"); err == nil {
		h.kernel = kernel
	}
	if machine, err := unix.Sysctl("hw.machine"); err == nil && machine == "arm64" {
		h.machine = "aarch64"
	}
	if memory, err := unix.SysctlUint64("hw.memsize"); err == nil {
		h.memory = int64(memory)
	}
	return h
}

// descriptors counts the open ones of this process.
func (*host) descriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}
