package oci

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// defaultProfile is moby's default profile, which moby's package builds on Linux alone. A test on Linux holds the
// two together.
//
//go:embed seccomp_default.json
var defaultProfile []byte

// libseccomp's names of architectures, by Go's.
var architectures = map[string]struct {
	name string
	arch specs.Arch
}{
	"amd64": {"amd64", specs.ArchX86_64}, "arm64": {"arm64", specs.ArchAARCH64}, "arm": {"arm", specs.ArchARM},
	"386": {"x86", specs.ArchX86}, "ppc64le": {"ppc64le", specs.ArchPPC64LE}, "s390x": {"s390x", specs.ArchS390X},
	"riscv64": {"riscv64", specs.ArchRISCV64}, "loong64": {"loongarch64", specs.ArchLOONGARCH64},
}

// seccompProfile chooses and resolves the profile of a container; nil for none.
func seccompProfile(c *record.Container, w *World, caps []string) (*specs.LinuxSeccomp, error) {
	text := c.Security.Seccomp
	if text == record.SeccompUnconfined || text == record.SeccompDefault && (c.HostConfig.Privileged || w.NoSeccomp) {
		return nil, nil
	}
	if w.NoSeccomp {
		return nil, errors.New("seccomp is not enabled in your kernel, cannot run a custom seccomp profile")
	}
	p, err := parsedDefault()
	if text != record.SeccompDefault && text != record.SeccompBuiltin {
		p, err = parseProfile([]byte(text))
	}
	if err != nil {
		return nil, err
	}
	return resolve(p, w, caps)
}

var parsedDefault = sync.OnceValues(func() (*seccomp.Seccomp, error) { return parseProfile(defaultProfile) })

// parseProfile decodes a profile and brings the old form of its rules into the new one.
func parseProfile(raw []byte) (*seccomp.Seccomp, error) {
	var p seccomp.Seccomp
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("Decoding seccomp profile failed: %w", err) //nolint:staticcheck // Docker's sentence.
	}
	for _, call := range p.Syscalls {
		if call == nil || call.Name == "" { //nolint:staticcheck // Old profiles have it.
			continue
		}
		if len(call.Names) != 0 {
			return nil, errors.New("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
		}
		call.Names = []string{call.Name} //nolint:staticcheck // Old profiles have it.
	}
	return &p, nil
}

// resolve keeps the rules of a profile that hold for an architecture, a kernel and capabilities. The profile is shared
// and not changed.
func resolve(p *seccomp.Seccomp, w *World, caps []string) (*specs.LinuxSeccomp, error) {
	if p.DefaultAction == "" && len(p.Syscalls) == 0 {
		return nil, nil
	}
	if len(p.Architectures) != 0 && len(p.ArchMap) != 0 {
		return nil, errors.New("both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'")
	}
	arch := architectures[w.architecture()]
	out := p.LinuxSeccomp
	out.Syscalls = nil
	for _, a := range p.ArchMap {
		if a.Arch == arch.arch {
			out.Architectures = append([]specs.Arch{a.Arch}, a.SubArches...)
			break
		}
	}
	for _, call := range p.Syscalls {
		if call == nil || excluded(call.Excludes, arch.name, w, caps) || !included(call.Includes, arch.name, w, caps) {
			continue
		}
		out.Syscalls = append(out.Syscalls, call.LinuxSyscall)
	}
	return &out, nil
}

func excluded(f *seccomp.Filter, arch string, w *World, caps []string) bool {
	if f == nil {
		return false
	}
	return slices.Contains(f.Arches, arch) ||
		slices.ContainsFunc(f.Caps, func(c string) bool { return slices.Contains(caps, c) }) ||
		f.MinKernel != nil && w.atLeast(f.MinKernel.Kernel, f.MinKernel.Major)
}

func included(f *seccomp.Filter, arch string, w *World, caps []string) bool {
	if f == nil {
		return true
	}
	return (len(f.Arches) == 0 || slices.Contains(f.Arches, arch)) &&
		!slices.ContainsFunc(f.Caps, func(c string) bool { return !slices.Contains(caps, c) }) &&
		(f.MinKernel == nil || w.atLeast(f.MinKernel.Kernel, f.MinKernel.Major))
}
