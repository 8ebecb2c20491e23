package normal

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"
)

const maxCPU = 8192 // bounds what a list may cost; the kernel's own limit of CPUs.

func (k Kernel) cpuset(r *container.Resources) error {
	cpus, mems := k.Cpus, k.Mems
	if cpus == "" {
		cpus = fmt.Sprintf("0-%d", max(k.NumCPU-1, 0))
	}
	if mems == "" {
		mems = "0"
	}
	if ok, err := available(r.CpusetCpus, cpus); err != nil {
		return invalidf("Invalid value %s for cpuset cpus: %v", r.CpusetCpus, err)
	} else if !ok {
		return invalidf("Requested CPUs are not available - requested %s, available: %s", r.CpusetCpus, cpus)
	}
	if ok, err := available(r.CpusetMems, mems); err != nil {
		return invalidf("Invalid value %s for cpuset mems: %v", r.CpusetMems, err)
	} else if !ok {
		return invalidf("Requested memory nodes are not available - requested %s, available: %s", r.CpusetMems, mems)
	}
	return nil
}

func available(want, have string) (bool, error) {
	w, err := parseList(want)
	if err != nil {
		return false, err
	}
	h, err := parseList(have)
	if err != nil {
		return false, err
	}
	for n := range w {
		if !h[n] {
			return false, nil
		}
	}
	return true, nil
}

// parseList parses the kernel's format of lists: "0,3-4,7".
func parseList(s string) (map[int]bool, error) {
	set := map[int]bool{}
	if s == "" {
		return set, nil
	}
	bad := fmt.Errorf("invalid format: %s", s)
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || a < 0 || b < a {
			return nil, bad
		}
		if b > maxCPU {
			return nil, fmt.Errorf("value of out range, maximum is %d", maxCPU)
		}
		for n := a; n <= b; n++ {
			set[n] = true
		}
	}
	return set, nil
}

func throttles(r *container.Resources) [4][]*blkiodev.ThrottleDevice {
	return [4][]*blkiodev.ThrottleDevice{r.BlkioDeviceReadBps, r.BlkioDeviceWriteBps, r.BlkioDeviceReadIOps, r.BlkioDeviceWriteIOps}
}
