//go:build !linux

package daemon

import (
	"runtime"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
)

// Containers run in VMs with kernels of our own: cgroup v2 with every controller, no AppArmor, devices known to the
// guest alone.
func kernel() normal.Kernel { return normal.FullKernel(2, runtime.NumCPU()) }

func maskedPaths() []string { return nil }

func hasAppArmor() bool { return false }

func devices() oci.Devices { return nil }
