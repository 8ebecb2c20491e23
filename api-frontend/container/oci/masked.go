package oci

import (
	"io/fs"
	"slices"
)

// HostMaskedPaths are what default containers must not see of a machine beside Docker's own list: the thermal
// counters of its CPUs (GHSA-6fw5-f8r9-fgfm). The root is that machine's: os.DirFS("/").
func HostMaskedPaths(root fs.FS) []string {
	found, err := fs.Glob(root, "sys/devices/system/cpu/cpu*/thermal_throttle")
	if err != nil {
		return nil // the pattern is a constant that fs.Glob takes.
	}
	slices.Sort(found)
	for i := range found {
		found[i] = "/" + found[i]
	}
	return found
}
