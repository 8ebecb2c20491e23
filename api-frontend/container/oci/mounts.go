package oci

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// dockerMounts are those of every container.
func dockerMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777"}},
	}
}

// staysWritable are the mounts that a read-only root leaves as they are.
var staysWritable = []string{"/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"}

// defaultMounts are dockerMounts as this container wants them.
//
// With an IPC namespace that is joined, /dev/shm is the other container's: the agent puts it in the place of the
// tmpfs that stands here, as it does for mqueue.
func defaultMounts(c *record.Container) []specs.Mount {
	hc := c.HostConfig
	own := map[string]bool{}
	for _, m := range c.Mounts {
		own[m.Destination] = true
	}
	var out []specs.Mount
	for _, m := range dockerMounts() {
		switch {
		case own[m.Destination], own["/dev"] && strings.HasPrefix(m.Destination, "/dev/"):
			continue
		case m.Destination == "/dev/shm":
			if hc.IpcMode.IsNone() {
				continue
			}
			m.Options = append(m.Options, "size="+strconv.FormatInt(hc.ShmSize, 10))
		}
		writable := m.Destination == "/sys" && hc.Privileged || m.Type == "cgroup" && c.Security.WritableCgroups
		switch {
		case writable:
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		case hc.ReadonlyRootfs && !slices.Contains(staysWritable, m.Destination) && !slices.Contains(m.Options, "ro"):
			m.Options = append(m.Options, "ro")
		}
		out = append(out, m)
	}
	return out
}
