package oci

import (
	"time"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Resources makes the limits of a container without its devices; of an update too.
func Resources(c *record.Container, w *World) (*specs.LinuxResources, error) {
	r := &c.HostConfig.Resources
	block, err := blockIO(r, w)
	if err != nil {
		return nil, err
	}
	return &specs.LinuxResources{Memory: memory(r), CPU: cpu(r), Pids: pids(r), BlockIO: block}, nil
}

func positive[T int64 | uint64](v T) *T {
	if v <= 0 {
		return nil
	}
	return &v
}

func memory(r *container.Resources) *specs.LinuxMemory {
	m := specs.LinuxMemory{
		Limit: positive(r.Memory), Reservation: positive(r.MemoryReservation), DisableOOMKiller: r.OomKillDisable,
	}
	if r.MemorySwap > 0 || r.MemorySwap == -1 && r.Memory > 0 {
		swap := r.MemorySwap
		m.Swap = &swap
	}
	if r.MemorySwappiness != nil {
		s := uint64(*r.MemorySwappiness)
		m.Swappiness = &s
	}
	if m == (specs.LinuxMemory{}) {
		return nil
	}
	return &m
}

func cpu(r *container.Resources) *specs.LinuxCPU {
	c := specs.LinuxCPU{
		Shares: positive(uint64(max(r.CPUShares, 0))), Cpus: r.CpusetCpus, Mems: r.CpusetMems,
		RealtimePeriod: positive(uint64(max(r.CPURealtimePeriod, 0))), RealtimeRuntime: positive(r.CPURealtimeRuntime),
	}
	if r.NanoCPUs > 0 {
		period := uint64(100 * time.Millisecond / time.Microsecond)
		quota := r.NanoCPUs * int64(period) / 1e9
		c.Period, c.Quota = &period, &quota
	}
	if r.CPUPeriod > 0 {
		c.Period = positive(uint64(r.CPUPeriod))
	}
	if r.CPUQuota != 0 {
		quota := r.CPUQuota
		c.Quota = &quota
	}
	if c == (specs.LinuxCPU{}) {
		return nil
	}
	return &c
}

func pids(r *container.Resources) *specs.LinuxPids {
	if r.PidsLimit == nil {
		return nil
	}
	limit := *r.PidsLimit
	if limit <= 0 {
		limit = -1 // lifts the limit that an earlier call set.
	}
	return &specs.LinuxPids{Limit: &limit}
}

func blockIO(r *container.Resources, w *World) (*specs.LinuxBlockIO, error) {
	var b specs.LinuxBlockIO
	if r.BlkioWeight != 0 {
		weight := r.BlkioWeight
		b.Weight = &weight
	}
	for _, d := range r.BlkioWeightDevice {
		dev, err := node(d.Path, w)
		if err != nil {
			return nil, err
		}
		weight := d.Weight
		wd := specs.LinuxWeightDevice{Weight: &weight}
		wd.Major, wd.Minor = dev.Major, dev.Minor
		b.WeightDevice = append(b.WeightDevice, wd)
	}
	for _, t := range []struct {
		from []*blkiodev.ThrottleDevice
		to   *[]specs.LinuxThrottleDevice
	}{
		{r.BlkioDeviceReadBps, &b.ThrottleReadBpsDevice}, {r.BlkioDeviceWriteBps, &b.ThrottleWriteBpsDevice},
		{r.BlkioDeviceReadIOps, &b.ThrottleReadIOPSDevice}, {r.BlkioDeviceWriteIOps, &b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range t.from {
			dev, err := node(d.Path, w)
			if err != nil {
				return nil, err
			}
			td := specs.LinuxThrottleDevice{Rate: d.Rate}
			td.Major, td.Minor = dev.Major, dev.Minor
			*t.to = append(*t.to, td)
		}
	}
	return &b, nil
}
