package system

import (
	"net/url"

	"github.com/moby/moby/api/types/system"
)

// host is what the machine is; it is measured once, at the start.
type host struct {
	kernel  string
	system  string
	release string
	machine string
	memory  int64
	cgroup  cgroup
	forward bool
	// names of security mechanisms.
	options []string
}

// cgroup is what the machine's cgroups can limit.
type cgroup struct {
	version                                                 string
	memory, swap, cfs, shares, cpuset, pids, oomKillDisable bool
}

func (h *host) security() []string { return append([]string{}, h.options...) }

// limits fills in what can be limited, and warns of what cannot, in dockerd's words.
func (h *host) limits(info *system.Info) {
	c := h.cgroup
	info.MemoryLimit, info.SwapLimit, info.OomKillDisable = c.memory, c.swap, c.oomKillDisable
	info.CPUCfsPeriod, info.CPUCfsQuota, info.CPUShares, info.CPUSet, info.PidsLimit = c.cfs, c.cfs, c.shares, c.cpuset, c.pids
	info.IPv4Forwarding = h.forward
	for _, w := range []struct {
		there bool
		text  string
	}{
		{c.memory, "No memory limit support"},
		{c.swap, "No swap limit support"},
		{c.cfs, "No cpu cfs quota support"},
		{c.cfs, "No cpu cfs period support"},
		{c.shares, "No cpu shares support"},
		{c.cpuset, "No cpuset support"},
	} {
		if !w.there {
			warn(info, "%s", w.text)
		}
	}
}

// mask hides the credentials of a URL.
func mask(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw
	}
	u.User = url.UserPassword("xxxxx", "xxxxx")
	return u.String()
}
