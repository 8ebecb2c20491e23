package volume

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
)

// Bind is a volume whose options name a directory of the host.
type Bind struct {
	Path     string // absolute and clean; opened with the rights of the instance's owner.
	ReadOnly bool
	// NonRecursive: submounts of the source are left out ("bind" rather than "rbind").
	NonRecursive bool
}

// required says which options an option needs beside it, in Docker's order of looking.
var required = []struct {
	option string
	needs  []string
}{
	{"device", []string{"type"}},
	{"type", []string{"device"}},
	{"o", []string{"device", "type"}},
}

// parseOptions checks the options of the local driver. It returns nil for a volume with a store of its own.
func parseOptions(options map[string]string) (*Bind, error) {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains([]string{"type", "o", "device", "size"}, key) {
			return nil, invalid("invalid option: %q", key)
		}
	}
	if size, ok := options["size"]; ok {
		n, err := units.RAMInBytes(size)
		if err != nil {
			return nil, invalid("%v", err)
		}
		if n > 0 {
			return nil, invalid("quota size requested but no quota support")
		}
	}
	for _, r := range required {
		if _, ok := options[r.option]; !ok {
			continue
		}
		for _, need := range r.needs {
			if _, ok := options[need]; !ok {
				return nil, invalid("missing required option: %q", need)
			}
		}
	}
	kind, device := options["type"], options["device"]
	if kind == "" && device == "" {
		return nil, nil
	}
	return parseBind(kind, device, options["o"])
}

func parseBind(kind, device, o string) (*Bind, error) {
	b := &Bind{NonRecursive: true}
	bind := kind == "bind"
	for opt := range strings.SplitSeq(o, ",") {
		switch opt {
		case "bind":
			bind = true
		case "rbind":
			bind, b.NonRecursive = true, false
		case "ro":
			b.ReadOnly = true
		case "rw":
			b.ReadOnly = false
		case "", "private", "rprivate":
		default:
			if bind || kind == "none" || kind == "" {
				return nil, invalid("option %q of a bind volume is not supported: only bind, rbind, ro and rw are", opt)
			}
		}
	}
	if !bind || !slices.Contains([]string{"none", "bind", ""}, kind) {
		return nil, &sentence{
			"volumes of type \"" + kind + "\" are not supported by the local driver of this engine: only type=none with o=bind is",
			errdefs.ErrInvalidArgument,
		}
	}
	if !path.IsAbs(device) || strings.ContainsRune(device, 0) {
		return nil, invalid("invalid device %q of a bind volume: it must be an absolute path", device)
	}
	b.Path = path.Clean(device)
	return b, nil
}
