package daemon

import (
	"os"
	"runtime"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
)

// kernel tells what the kernel under the containers can limit: in a namespace sandbox it is this machine's.
func kernel() normal.Kernel { return normal.HostKernel(os.DirFS("/"), runtime.NumCPU()) }

func maskedPaths() []string { return oci.HostMaskedPaths(os.DirFS("/")) }

func hasAppArmor() bool {
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && len(b) > 0 && b[0] == 'Y'
}

func devices() oci.Devices { return oci.HostDevices{} }
