package normal

import (
	"fmt"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Update brings a change of limits and of the restart policy into a record, as moby's UpdateContainer does. The
// record is a copy afterwards; the warnings are those of the answer.
func Update(c *record.Container, u *container.UpdateConfig, env *Environment, version string) (*record.Container, []string, error) {
	if before(version, "1.40") {
		u.PidsLimit = nil
	}
	if u.PidsLimit != nil && *u.PidsLimit <= 0 {
		u.PidsLimit = new(int64)
	}
	if u.RestartPolicy.Name != "" {
		if err := container.ValidateRestartPolicy(u.RestartPolicy); err != nil {
			return nil, nil, invalid(err.Error())
		}
	}
	warnings, err := env.Kernel.resources(&u.Resources, true)
	if err != nil {
		return nil, warnings, err
	}
	if c.State.Status == record.Removing || c.State.Status == record.Dead {
		return nil, warnings, cannotUpdate(c, `container is marked for removal and cannot be "update"`)
	}
	hc := *c.HostConfig
	if sentence := changeResources(&hc.Resources, &u.Resources); sentence != "" {
		return nil, warnings, cannotUpdate(c, sentence)
	}
	if u.RestartPolicy.Name != "" {
		if hc.AutoRemove && !u.RestartPolicy.IsNone() {
			return nil, warnings, cannotUpdate(c, "Restart policy cannot be updated because AutoRemove is enabled for the container")
		}
		hc.RestartPolicy = u.RestartPolicy
	}
	n := c.Clone()
	n.HostConfig = &hc
	return n, warnings, nil
}

func cannotUpdate(c *record.Container, sentence string) error {
	return conflict(fmt.Sprintf("Cannot update container %s: %s", c.ID, sentence))
}

func changeResources(have, want *container.Resources) (refusal string) {
	switch {
	case want.NanoCPUs > 0 && have.CPUPeriod > 0:
		return "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"
	case want.NanoCPUs > 0 && have.CPUQuota > 0:
		return "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
	case want.CPUPeriod > 0 && have.NanoCPUs > 0:
		return "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
	case want.CPUQuota > 0 && have.NanoCPUs > 0:
		return "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
	case want.Memory != 0 && want.Memory > have.MemorySwap && want.MemorySwap == 0:
		return "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
	}
	set(&have.BlkioWeight, want.BlkioWeight)
	set(&have.CPUShares, want.CPUShares)
	set(&have.NanoCPUs, want.NanoCPUs)
	set(&have.CPUPeriod, want.CPUPeriod)
	set(&have.CPUQuota, want.CPUQuota)
	set(&have.CpusetCpus, want.CpusetCpus)
	set(&have.CpusetMems, want.CpusetMems)
	set(&have.Memory, want.Memory)
	set(&have.MemorySwap, want.MemorySwap)
	set(&have.MemoryReservation, want.MemoryReservation)
	set(&have.CPURealtimePeriod, want.CPURealtimePeriod)
	set(&have.CPURealtimeRuntime, want.CPURealtimeRuntime)
	set(&have.PidsLimit, want.PidsLimit)
	return ""
}

func set[T comparable](have *T, want T) {
	var none T
	if want != none {
		*have = want
	}
}
