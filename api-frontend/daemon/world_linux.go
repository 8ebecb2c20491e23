package daemon

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/api-frontend/container/oci"
)

// cgroupVersion tells the version of the cgroup hierarchy in which containers are limited.
func cgroupVersion() int {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return 2
	}
	return 1
}

func hasAppArmor() bool {
	b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && len(b) > 0 && b[0] == 'Y'
}

func devices() oci.Devices { return oci.HostDevices{} }
