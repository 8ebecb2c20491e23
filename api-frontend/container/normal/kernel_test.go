package normal

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
)

func files(names ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, n := range names {
		m[n] = &fstest.MapFile{}
	}
	return m
}

func TestHostKernel(t *testing.T) {
	v2 := files("proc/self/ns/cgroup", "proc/swaps")
	v2["sys/fs/cgroup/cgroup.controllers"] = &fstest.MapFile{Data: []byte("cpuset cpu io memory pids\n")}
	v2["sys/fs/cgroup/cpuset.cpus.effective"] = &fstest.MapFile{Data: []byte("0-3\n")}
	v2["sys/fs/cgroup/cpuset.mems.effective"] = &fstest.MapFile{Data: []byte("0\n")}
	want := FullKernel(2, 4)
	want.Cpus, want.Mems = "0-3", "0"
	if d := cmp.Diff(want, HostKernel(v2, 4)); d != "" {
		t.Error(d)
	}
	v1 := files("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/cpu/cpu.shares", "sys/fs/cgroup/cpu/cpu.rt_period_us")
	if d := cmp.Diff(Kernel{CgroupVersion: 1, NumCPU: 1, MemoryLimit: true, CPUShares: true}, HostKernel(v1, 1)); d != "" {
		t.Error(d)
	}
}

func TestPoorKernel(t *testing.T) {
	swappiness, yes, pids := int64(5), true, int64(9)
	dev := []*blkiodev.ThrottleDevice{{Path: "/dev/sda", Rate: 1}}
	r := container.Resources{
		Memory: 64 << 20, MemoryReservation: 32 << 20, MemorySwappiness: &swappiness, OomKillDisable: &yes, PidsLimit: &pids,
		CPUShares: 5, CPUQuota: 5000, CpusetCpus: "7", CPUPercent: 3, BlkioWeight: 100,
		BlkioWeightDevice: []*blkiodev.WeightDevice{{Path: "/dev/sda"}}, BlkioDeviceReadBps: dev, BlkioDeviceWriteBps: dev,
		BlkioDeviceReadIOps: dev, BlkioDeviceWriteIOps: dev,
	}
	got, err := Kernel{CgroupVersion: 1, NumCPU: 2}.resources(&r, false)
	want := []string{
		"Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",
		"Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
		"Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
		"Your kernel does not support OomKillDisable. OomKillDisable discarded.",
		"Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.",
		"Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
		"Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
		"linux does not support CPU percent. Percent discarded.",
		"Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
		"Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
		"Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
		"Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
		"Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
		"Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
		"Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	if d := cmp.Diff(container.Resources{MemorySwap: -1}, r); d != "" {
		t.Error(d)
	}
}
