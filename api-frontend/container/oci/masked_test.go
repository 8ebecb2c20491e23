package oci

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestHostMaskedPaths(t *testing.T) {
	root := fstest.MapFS{
		"sys/devices/system/cpu/cpu1/thermal_throttle/count": {}, "sys/devices/system/cpu/cpu0/thermal_throttle/count": {},
		"sys/devices/system/cpu/cpu2/online": {},
	}
	want := []string{"/sys/devices/system/cpu/cpu0/thermal_throttle", "/sys/devices/system/cpu/cpu1/thermal_throttle"}
	if d := cmp.Diff(want, HostMaskedPaths(root)); d != "" {
		t.Error(d)
	}
}
