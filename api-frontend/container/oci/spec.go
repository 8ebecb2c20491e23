package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Spec makes the OCI spec of a container.
//
// Namespaces that are private or joined stand in it without a path: the agent sets the paths from the
// StartRequest. Those of the sandbox (host modes) are absent. Mounts are the default ones alone: the container's own
// are in the MountRequest, and a default mount whose place one of them takes is left out.
func Spec(c *record.Container, w *World) (*specs.Spec, error) {
	hc := c.HostConfig
	s := &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: "rootfs", Readonly: hc.ReadonlyRootfs},
		Mounts:      defaultMounts(c),
		Annotations: maps.Clone(hc.Annotations),
		Linux: &specs.Linux{
			Namespaces:    namespaces(c),
			MaskedPaths:   hc.MaskedPaths,
			ReadonlyPaths: hc.ReadonlyPaths,
			Sysctl:        sysctls(c, w),
			Devices:       []specs.LinuxDevice{},
		},
	}
	if !hc.UTSMode.IsHost() {
		s.Hostname = named(c, w).Config.Hostname
	}
	if !hc.Privileged && w.MaskedPaths != nil && slices.Contains(hc.MaskedPaths, "/proc/kcore") {
		s.Linux.MaskedPaths = slices.Concat(hc.MaskedPaths, w.MaskedPaths)
	}
	process, err := containerProcess(c, w)
	if err != nil {
		return nil, err
	}
	s.Process = process
	if s.Linux.Resources, err = Resources(c, w); err != nil {
		return nil, err
	}
	if err := addDevices(s, c, w); err != nil {
		return nil, err
	}
	if s.Linux.Seccomp, err = seccompProfile(c, w, process.Capabilities.Bounding); err != nil {
		return nil, err
	}
	s.Linux.RootfsPropagation = rootPropagation(c)
	return s, nil
}

// named is the container whose host name and files count.
func named(c *record.Container, w *World) *record.Container {
	if c.HostConfig.NetworkMode.IsContainer() && w.Networked != nil {
		return w.Networked
	}
	return c
}

func namespaces(c *record.Container) []specs.LinuxNamespace {
	hc := c.HostConfig
	ns := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	add := func(t specs.LinuxNamespaceType, host bool) {
		if !host {
			ns = append(ns, specs.LinuxNamespace{Type: t})
		}
	}
	add(specs.NetworkNamespace, hc.NetworkMode.IsHost())
	add(specs.UTSNamespace, hc.UTSMode.IsHost())
	add(specs.PIDNamespace, hc.PidMode.IsHost())
	add(specs.IPCNamespace, hc.IpcMode.IsHost())
	add(specs.CgroupNamespace, !hc.CgroupnsMode.IsPrivate())
	return ns
}

// sysctls are Docker's defaults for a private network, and the client's own over them.
func sysctls(c *record.Container, w *World) map[string]string {
	hc := c.HostConfig
	m := map[string]string{}
	if d := named(c, w).Config.Domainname; d != "" && !hc.UTSMode.IsHost() {
		m["kernel.domainname"] = d
	}
	if hc.NetworkMode.IsPrivate() {
		m["net.ipv4.ping_group_range"] = "0 2147483647"
		m["net.ipv4.ip_unprivileged_port_start"] = "0"
	}
	maps.Copy(m, hc.Sysctls)
	return m
}

// rootPropagation lets shared and slave mounts keep their propagation under the root.
func rootPropagation(c *record.Container) string {
	p := ""
	for _, m := range c.Mounts {
		switch m.Propagation {
		case "shared", "rshared":
			return "shared"
		case "slave", "rslave":
			p = "rslave"
		}
	}
	return p
}

// deviceError is Docker's sentence for a device that cannot be had.
func deviceError(at string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("error gathering device information while adding custom device %q: %w", at, err)
}
