package normal

import (
	"github.com/moby/moby/api/types/container"
)

const minMemory = 6 << 20 // dockerd's, not the kernel's.

// resources checks and mends limits as moby's verifyPlatformContainerResources does. update is true for changes of
// a container that exists.
func (k Kernel) resources(r *container.Resources, update bool) (warnings []string, err error) {
	warn := func(s string) { warnings = append(warnings, s) }
	if err := k.memory(r, update, warn); err != nil {
		return warnings, err
	}
	if err := k.cpu(r, warn); err != nil {
		return warnings, err
	}
	return warnings, k.blkio(r, warn)
}

func (k Kernel) memory(r *container.Resources, update bool, warn func(string)) error {
	if r.MemorySwappiness != nil && *r.MemorySwappiness == -1 {
		r.MemorySwappiness = nil
	}
	if r.Memory != 0 && r.Memory < minMemory {
		return invalid("Minimum memory limit allowed is 6MB")
	}
	if r.Memory > 0 && !k.MemoryLimit {
		warn("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.")
		r.Memory, r.MemorySwap = 0, -1
	}
	if r.Memory > 0 && r.MemorySwap != -1 && !k.SwapLimit {
		warn("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.")
		r.MemorySwap = -1
	}
	if r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory {
		return invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
	}
	if r.Memory == 0 && r.MemorySwap > 0 && !update {
		return invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
	}
	if r.MemorySwappiness != nil && !k.MemorySwappiness {
		warn("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.")
		r.MemorySwappiness = nil
	}
	if s := r.MemorySwappiness; s != nil && (*s < 0 || *s > 100) {
		return invalidf("Invalid value: %v, valid memory swappiness range is 0-100", *s)
	}
	if r.MemoryReservation > 0 && !k.MemoryReservation {
		warn("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.")
		r.MemoryReservation = 0
	}
	if r.MemoryReservation > 0 && r.MemoryReservation < minMemory {
		return invalid("Minimum memory reservation allowed is 6MB")
	}
	if r.Memory > 0 && r.MemoryReservation > 0 && r.Memory < r.MemoryReservation {
		return invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
	}
	if r.OomKillDisable != nil && !k.OomKillDisable {
		if *r.OomKillDisable {
			warn("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
		}
		r.OomKillDisable = nil
	}
	if r.OomKillDisable != nil && *r.OomKillDisable && r.Memory == 0 {
		warn("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.")
	}
	if r.PidsLimit != nil && !k.PidsLimit {
		if *r.PidsLimit > 0 {
			warn("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.")
		}
		r.PidsLimit = nil
	}
	return nil
}

func (k Kernel) cpu(r *container.Resources, warn func(string)) error {
	if (r.CPURealtimePeriod != 0 || r.CPURealtimeRuntime != 0) && !k.CPURealtime {
		return errRealtime
	}
	if r.CPURealtimePeriod != 0 && r.CPURealtimeRuntime != 0 && r.CPURealtimeRuntime > r.CPURealtimePeriod {
		return invalid("cpu real-time runtime cannot be higher than cpu real-time period")
	}
	if r.CPUShares < 0 && k.CPUShares {
		return invalidf("invalid CPU shares (%d): value must be a positive integer", r.CPUShares)
	}
	if r.NanoCPUs > 0 && r.CPUPeriod > 0 {
		return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	}
	if r.NanoCPUs > 0 && r.CPUQuota > 0 {
		return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	}
	if r.NanoCPUs > 0 && !k.CPUCfs {
		return invalid("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")
	}
	if r.NanoCPUs < 0 || r.NanoCPUs > int64(k.NumCPU)*1e9 {
		return invalidf("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", k.NumCPU)
	}
	if r.CPUShares > 0 && !k.CPUShares {
		warn("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.")
		r.CPUShares = 0
	}
	if (r.CPUPeriod != 0 || r.CPUQuota != 0) && !k.CPUCfs {
		warn("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.")
		r.CPUPeriod, r.CPUQuota = 0, 0
	}
	if r.CPUPeriod != 0 && (r.CPUPeriod < 1000 || r.CPUPeriod > 1000000) {
		return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	}
	if r.CPUQuota > 0 && r.CPUQuota < 1000 {
		return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	}
	if r.CPUPercent > 0 {
		warn("linux does not support CPU percent. Percent discarded.")
		r.CPUPercent = 0
	}
	if (r.CpusetCpus != "" || r.CpusetMems != "") && !k.Cpuset {
		warn("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.")
		r.CpusetCpus, r.CpusetMems = "", ""
	}
	return k.cpuset(r)
}

func (k Kernel) blkio(r *container.Resources, warn func(string)) error {
	if r.BlkioWeight > 0 && !k.BlkioWeight {
		warn("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
		r.BlkioWeight = 0
	}
	if r.BlkioWeight > 0 && (r.BlkioWeight < 10 || r.BlkioWeight > 1000) {
		return invalid("Range of blkio weight is from 10 to 1000")
	}
	if len(r.BlkioWeightDevice) > 0 && !k.BlkioWeightDevice {
		warn("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
		r.BlkioWeightDevice = nil
	}
	if !k.BlkioThrottle {
		if len(r.BlkioDeviceReadBps) > 0 {
			warn("Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.")
		}
		if len(r.BlkioDeviceWriteBps) > 0 {
			warn("Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.")
		}
		if len(r.BlkioDeviceReadIOps) > 0 {
			warn("Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.")
		}
		if len(r.BlkioDeviceWriteIOps) > 0 {
			warn("Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.")
		}
		r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps, r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps = nil, nil, nil, nil
	}
	for _, d := range r.BlkioWeightDevice {
		if d == nil || d.Path == "" {
			return invalid("BlkioWeightDevice: the path of a device must not be empty")
		}
	}
	for _, list := range throttles(r) {
		for _, d := range list {
			if d == nil || d.Path == "" {
				return invalid("BlkioDevice: the path of a device must not be empty")
			}
		}
	}
	if r.IOMaximumBandwidth != 0 {
		return errQoSBandwidth
	}
	if r.IOMaximumIOps != 0 {
		return errQoSIOps
	}
	return nil
}
