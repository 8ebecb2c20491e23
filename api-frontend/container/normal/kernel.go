package normal

import (
	"io/fs"
	"slices"
	"strings"
)

// Kernel says what the kernel under the containers can limit, as moby's sysinfo does. The real-time scheduler needs
// shares of the cgroups above a container's, which nobody gives: HostKernel never finds it.
type Kernel struct {
	CgroupVersion     int // 1 or 2.
	MemoryLimit       bool
	SwapLimit         bool
	MemoryReservation bool
	MemorySwappiness  bool
	OomKillDisable    bool
	PidsLimit         bool
	CPUShares         bool
	CPUCfs            bool
	CPURealtime       bool
	Cpuset            bool
	BlkioWeight       bool
	BlkioWeightDevice bool
	BlkioThrottle     bool // bytes and operations per second, read and write.
	CgroupNamespaces  bool

	NumCPU int
	Cpus   string // available, as cpuset.cpus says: "0-3"; empty: 0 to NumCPU-1.
	Mems   string // available memory nodes; empty: "0".
}

// FullKernel is a kernel of today with all controllers of a cgroup version: that of a VM of ours.
func FullKernel(cgroupVersion, cpus int) Kernel {
	v1 := cgroupVersion == 1
	return Kernel{
		CgroupVersion: cgroupVersion, MemoryLimit: true, SwapLimit: true, MemoryReservation: true,
		MemorySwappiness: v1, OomKillDisable: v1, PidsLimit: true, CPUShares: true, CPUCfs: true, Cpuset: true,
		BlkioWeight: true, BlkioWeightDevice: true, BlkioThrottle: true, CgroupNamespaces: true, NumCPU: cpus,
	}
}

// HostKernel looks at the cgroups of a machine whose root is given (os.DirFS("/")), for drivers whose containers run
// on that machine's kernel.
func HostKernel(root fs.FS, cpus int) Kernel {
	k := Kernel{NumCPU: cpus}
	_, err := fs.Stat(root, "proc/self/ns/cgroup")
	k.CgroupNamespaces = err == nil
	if controllers, err := fs.ReadFile(root, "sys/fs/cgroup/cgroup.controllers"); err == nil {
		k.version2(root, strings.Fields(string(controllers)))
	} else {
		k.version1(root)
	}
	return k
}

func (k *Kernel) version1(root fs.FS) {
	has := func(file string) bool {
		_, err := fs.Stat(root, "sys/fs/cgroup/"+file)
		return err == nil
	}
	k.CgroupVersion = 1
	k.MemoryLimit = has("memory/memory.limit_in_bytes")
	k.SwapLimit = has("memory/memory.memsw.limit_in_bytes")
	k.MemoryReservation = has("memory/memory.soft_limit_in_bytes")
	k.MemorySwappiness = has("memory/memory.swappiness")
	k.OomKillDisable = has("memory/memory.oom_control")
	k.PidsLimit = has("pids")
	k.CPUShares = has("cpu/cpu.shares")
	k.CPUCfs = has("cpu/cpu.cfs_quota_us")
	k.BlkioWeight = has("blkio/blkio.weight")
	k.BlkioWeightDevice = has("blkio/blkio.weight_device")
	k.BlkioThrottle = has("blkio/blkio.throttle.read_bps_device")
	k.Cpuset = has("cpuset/cpuset.cpus")
	k.Cpus, k.Mems = line(root, "cpuset/cpuset.cpus"), line(root, "cpuset/cpuset.mems")
}

func (k *Kernel) version2(root fs.FS, controllers []string) {
	has := func(c string) bool { return slices.Contains(controllers, c) }
	k.CgroupVersion = 2
	k.MemoryLimit, k.MemoryReservation = has("memory"), has("memory")
	// The root has no memory.swap.max; swap of the machine's memory is accounted unless it was switched off at boot.
	_, err := fs.Stat(root, "proc/swaps")
	k.SwapLimit = has("memory") && err == nil
	k.CPUShares, k.CPUCfs = has("cpu"), has("cpu")
	k.BlkioWeight, k.BlkioWeightDevice, k.BlkioThrottle = has("io"), has("io"), has("io")
	k.PidsLimit, k.Cpuset = has("pids"), has("cpuset")
	k.Cpus, k.Mems = line(root, "cpuset.cpus.effective"), line(root, "cpuset.mems.effective")
}

// line reads a file of one line; one that is not there is empty.
func line(root fs.FS, file string) string {
	b, err := fs.ReadFile(root, "sys/fs/cgroup/"+file)
	if err != nil {
		return "" // the fields have a meaning when they are empty.
	}
	return strings.TrimSpace(string(b))
}
