package oci

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/normal"
)

// defaultCapabilities are Docker's 14.
var defaultCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// unavailable is Docker's sentence for a capability that cannot be given.
type unavailable string

// Error is the sentence.
func (e unavailable) Error() string {
	return fmt.Sprintf("capability not supported by your kernel or not available in the current environment: %q", string(e))
}

// InvalidParameter marks the error for errdefs.IsInvalidArgument.
func (unavailable) InvalidParameter() {}

// available are all capabilities that a container can have at all.
func (w *World) available() []string {
	if w.Capabilities != nil {
		return w.Capabilities
	}
	return hostCapabilities()
}

func capabilities(caps []string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// tweak is moby's TweakCapabilities.
func (w *World) tweak(add, drop []string, privileged bool) ([]string, error) {
	all := w.available()
	if privileged {
		return slices.Clone(all), nil
	}
	add, err := normal.Capabilities(add)
	if err != nil {
		return nil, err
	}
	for _, c := range add {
		if c != normal.AllOfThem && !slices.Contains(all, c) {
			return nil, unavailable(c)
		}
	}
	drop, err = normal.Capabilities(drop)
	if err != nil {
		return nil, err
	}
	base := defaultCapabilities
	switch {
	case slices.Contains(add, normal.AllOfThem):
		base, add = all, nil
	case slices.Contains(drop, normal.AllOfThem):
		return compact(add), nil
	}
	kept := slices.DeleteFunc(slices.Clone(base), func(c string) bool { return slices.Contains(drop, c) || !slices.Contains(all, c) })
	return compact(append(kept, add...)), nil
}

// compact drops what stands twice.
func compact(list []string) []string {
	out := []string{}
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
