package oci

import (
	"net/netip"
	"runtime"

	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// World is what a spec depends on beside the record.
type World struct {
	// Architecture is that of the sandbox's kernel, in Go's words; empty: that of this program.
	Architecture string
	// Kernel is the version of the sandbox's kernel; zero is the newest.
	Kernel struct{ Major, Minor uint64 }
	// AppArmor and NoSeccomp tell what the sandbox's kernel has.
	AppArmor  bool
	NoSeccomp bool
	// Capabilities are all that a container can have; nil: those of this machine. A driver whose sandboxes have kernels
	// of their own says normal.AllCapabilities.
	Capabilities []string
	// MaskedPaths are masked in default containers beside Docker's own (thermal_throttle of each CPU that has it).
	MaskedPaths []string
	// Ulimits and Init are daemon.json's.
	Ulimits map[string]*container.Ulimit
	Init    bool
	// Networked is the container whose network is joined; its names and files are used.
	Networked *record.Container
	// LinkEnvironment are the variables of the default network's links.
	LinkEnvironment []string
	// DNS, DNSSearch and DNSOptions are daemon.json's, for containers that say nothing of them.
	DNS        []netip.Addr
	DNSSearch  []string
	DNSOptions []string
	// Devices looks devices of the sandbox's kernel up; nil: there are none to be had.
	Devices Devices
}

// Devices looks devices up. HostDevices of this package does it on Linux.
type Devices interface {
	// All lists the devices of a privileged container.
	All() ([]specs.LinuxDevice, error)
	// At lists the device at a path, or those in the directory at that path, with their paths.
	At(path string) ([]specs.LinuxDevice, error)
}

func (w *World) architecture() string {
	if w.Architecture == "" {
		return runtime.GOARCH
	}
	return w.Architecture
}

// atLeast tells whether the kernel is of a version or newer.
func (w *World) atLeast(major, minor uint64) bool {
	k := w.Kernel
	return k.Major == 0 || k.Major > major || k.Major == major && k.Minor >= minor
}
