//go:build !linux

package daemon

import "github.com/arca-engine/arca/api-frontend/container/oci"

// Containers run in VMs with kernels of our own: cgroup v2, no AppArmor, devices known to the guest alone.
func cgroupVersion() int { return 2 }

func hasAppArmor() bool { return false }

func devices() oci.Devices { return nil }
