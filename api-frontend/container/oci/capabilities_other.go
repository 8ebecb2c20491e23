//go:build !linux

package oci

import "github.com/arca-engine/arca/api-frontend/container/normal"

// hostCapabilities are all: containers run in VMs with kernels of our own.
func hostCapabilities() []string { return normal.AllCapabilities }
