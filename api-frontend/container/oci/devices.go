package oci

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// defaultDevices are the rules of the devices cgroup of every container; runc adds those of its own devices.
func defaultDevices() []specs.LinuxDeviceCgroup {
	rules := []specs.LinuxDeviceCgroup{{Access: "rwm"}}
	for _, n := range [][2]int64{{1, 5}, {1, 3}, {1, 9}, {1, 8}, {5, 0}, {5, 1}} { // zero, null, urandom, random, tty, console.
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &n[0], Minor: &n[1], Access: "rwm"})
	}
	fuse := [2]int64{10, 229}
	return append(rules, specs.LinuxDeviceCgroup{Type: "c", Major: &fuse[0], Minor: &fuse[1], Access: "rwm"})
}

func addDevices(s *specs.Spec, c *record.Container, w *World) error {
	hc := c.HostConfig
	if hc.Privileged {
		s.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		if w.Devices != nil {
			all, err := w.Devices.All()
			if err != nil {
				return fmt.Errorf("list devices: %w", err)
			}
			s.Linux.Devices = append(s.Linux.Devices, all...)
		}
		for _, d := range hc.Devices {
			if d.PathOnHost == d.PathInContainer {
				continue // it is there already.
			}
			devs, err := mapped(d.PathOnHost, d.PathInContainer, w)
			if err != nil {
				return err
			}
			s.Linux.Devices = append(s.Linux.Devices, devs...)
		}
		return nil
	}
	rules := defaultDevices()
	for _, d := range hc.Devices {
		devs, err := mapped(d.PathOnHost, d.PathInContainer, w)
		if err != nil {
			return err
		}
		s.Linux.Devices = append(s.Linux.Devices, devs...)
		for _, dev := range devs {
			rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: dev.Type, Major: &dev.Major, Minor: &dev.Minor, Access: d.CgroupPermissions})
		}
	}
	for _, text := range hc.DeviceCgroupRules {
		r, err := normal.ParseDeviceRule(text)
		if err != nil {
			return err
		}
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: r.Type, Major: &r.Major, Minor: &r.Minor, Access: r.Access})
	}
	s.Linux.Resources.Devices = rules
	return nil
}

// mapped is the device at a path of the host, or all below it, under its path in the container.
func mapped(onHost, inContainer string, w *World) ([]specs.LinuxDevice, error) {
	if w.Devices == nil {
		return nil, deviceError(onHost, errdefs.ErrNotImplemented)
	}
	devs, err := w.Devices.At(onHost)
	if err != nil {
		return nil, deviceError(onHost, err)
	}
	for i := range devs {
		devs[i].Path = inContainer + strings.TrimPrefix(devs[i].Path, onHost)
	}
	return devs, nil
}

// node is the one device at a path.
func node(path string, w *World) (*specs.LinuxDevice, error) {
	if w.Devices == nil {
		return nil, deviceError(path, errdefs.ErrNotImplemented)
	}
	devs, err := w.Devices.At(path)
	if err != nil {
		return nil, deviceError(path, err)
	}
	if len(devs) != 1 {
		return nil, deviceError(path, fmt.Errorf("not a device node: %w", errdefs.ErrInvalidArgument))
	}
	return &devs[0], nil
}
