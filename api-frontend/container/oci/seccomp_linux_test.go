package oci

import (
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// TestSeccompIsMobys holds our copy of the profile and our resolution of it to moby's, which is there on Linux alone.
func TestSeccompIsMobys(t *testing.T) {
	for _, caps := range [][]string{defaultCapabilities, normal.AllCapabilities, nil, {"CAP_SYS_ADMIN"}, {"CAP_BPF", "CAP_PERFMON"}} {
		want, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: capabilities(caps)}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := resolveText(record.SeccompBuiltin, &World{Architecture: runtime.GOARCH}, caps)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("with %v: %s", caps, d)
		}
	}
}

// TestSeccompDeniesVsock: no rule of a default container's profile lets it make a socket of AF_VSOCK.
func TestSeccompDeniesVsock(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		for _, caps := range [][]string{defaultCapabilities, {"CAP_SYS_ADMIN", "CAP_NET_ADMIN"}} {
			p, err := resolveText(record.SeccompDefault, &World{Architecture: arch}, caps)
			if err != nil {
				t.Fatal(err)
			}
			if p.DefaultAction != specs.ActErrno {
				t.Errorf("default action %s", p.DefaultAction)
			}
			if socketAllowed(p, unix.AF_VSOCK) || socketAllowed(p, unix.AF_ALG) || !socketAllowed(p, unix.AF_INET6) || !socketAllowed(p, unix.AF_NETLINK) {
				t.Errorf("%s: wrong socket families", arch)
			}
		}
	}
}

func resolveText(text string, w *World, caps []string) (*specs.LinuxSeccomp, error) {
	c := plain(nil)
	c.Security.Seccomp = text
	return seccompProfile(c, w, caps)
}

// socketAllowed evaluates the rules for socket(2) with a family.
func socketAllowed(p *specs.LinuxSeccomp, family uint64) bool {
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			if name != "socket" || s.Action != specs.ActAllow {
				continue
			}
			ok := true
			for _, a := range s.Args {
				switch a.Op {
				case specs.OpEqualTo:
					ok = ok && family == a.Value
				case specs.OpNotEqual:
					ok = ok && family != a.Value
				case specs.OpLessThan:
					ok = ok && family < a.Value
				case specs.OpGreaterThan:
					ok = ok && family > a.Value
				default:
					return true // not understood: count it as allowed.
				}
			}
			if ok {
				return true
			}
		}
	}
	return false
}
