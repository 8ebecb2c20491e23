package normal

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// security parses HostConfig.SecurityOpt. Labels are checked and otherwise ignored: there is no SELinux.
func (p *Prepared) security() (record.Security, error) {
	s := record.Security{NoNewPrivileges: p.env.Defaults.NoNewPrivileges, WritableCgroups: p.host.Privileged}
	for _, opt := range p.host.SecurityOpt {
		switch opt {
		case "no-new-privileges":
			s.NoNewPrivileges = true
			continue
		case "writable-cgroups":
			s.WritableCgroups = true
			continue
		case "disable":
			continue
		}
		k, v, ok := strings.Cut(opt, "=")
		if !ok {
			k, v, ok = strings.Cut(opt, ":")
		}
		if !ok {
			return s, invalidf("invalid --security-opt 1: %q", opt)
		}
		switch k {
		case "label":
		case "apparmor":
			s.AppArmor = v
		case "seccomp":
			if v != record.SeccompUnconfined && v != record.SeccompBuiltin {
				if !json.Valid([]byte(v)) {
					return s, invalid("Decoding seccomp profile failed: it is neither unconfined, nor builtin, nor a JSON document")
				}
			}
			s.Seccomp = v
		case "no-new-privileges", "writable-cgroups":
			b, err := strconv.ParseBool(v)
			if err != nil {
				return s, invalidf("invalid --security-opt 2: %q", opt)
			}
			if k == "no-new-privileges" {
				s.NoNewPrivileges = b
			} else {
				s.WritableCgroups = b
			}
		default:
			return s, invalidf("invalid --security-opt 2: %q", opt)
		}
	}
	return s, nil
}
