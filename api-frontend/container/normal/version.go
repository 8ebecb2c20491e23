package normal

import (
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// before tells whether an API version is older than another. An empty one is the newest.
func before(version, other string) bool {
	if version == "" {
		return false
	}
	a1, a2 := split(version)
	b1, b2 := split(other)
	return a1 < b1 || a1 == b1 && a2 < b2
}

func split(v string) (major, minor int) {
	a, b, _ := strings.Cut(v, ".")
	major, _ = strconv.Atoi(a) // the server has validated the version; 0 is as good as any other answer here.
	minor, _ = strconv.Atoi(b)
	return major, minor
}

// applyVersion undoes what a client of an older API cannot have meant, newest first, as moby's router does.
// It reports whether read-only mounts leave their submounts writable by default.
func (p *Prepared) applyVersion() (nonRecursiveReadOnly bool, err error) {
	hc, v := p.host, p.version
	if before(v, "1.48") {
		for _, ep := range p.endpoints {
			ep.GwPriority = 0
		}
		for i := range hc.Mounts {
			if hc.Mounts[i].Type == mount.TypeImage {
				return false, invalid(`Mount type "Image" needs API v1.48 or newer`)
			}
		}
	}
	if before(v, "1.45") {
		for i := range hc.Mounts {
			if o := hc.Mounts[i].VolumeOptions; o != nil && o.Subpath != "" {
				return false, invalid("VolumeOptions.Subpath needs API v1.45 or newer")
			}
		}
	}
	if before(v, "1.44") {
		nonRecursiveReadOnly = true
		if p.config.Healthcheck != nil {
			p.config.Healthcheck.StartInterval = 0
		}
		for i := range hc.Mounts {
			m := &hc.Mounts[i]
			if m.Type == mount.TypeBind && m.BindOptions != nil && m.BindOptions.ReadOnlyForceRecursive {
				return false, invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
			}
		}
		if len(p.endpoints) > 1 {
			return false, invalidf("Container cannot be created with multiple network endpoints: %s", strings.Join(sortedKeys(p.endpoints), ", "))
		}
	}
	if before(v, "1.43") {
		hc.Annotations = nil
	}
	if before(v, "1.42") {
		hc.ConsoleSize = [2]uint{}
		for i := range hc.Mounts {
			m := &hc.Mounts[i]
			if m.BindOptions != nil {
				m.BindOptions.CreateMountpoint = false
			}
			if m.Type != mount.TypeVolume {
				m.VolumeOptions = nil
			}
			if m.Type != mount.TypeTmpfs {
				m.TmpfsOptions = nil
			}
		}
	} else {
		p.kernelMemory, p.kernelMemoryTCP = false, false
		for i := range hc.Mounts {
			m := &hc.Mounts[i]
			switch {
			case m.VolumeOptions != nil && m.Type != mount.TypeVolume:
				return false, invalidf("VolumeOptions must not be specified on mount type %q", m.Type)
			case m.BindOptions != nil && m.Type != mount.TypeBind:
				return false, invalidf("BindOptions must not be specified on mount type %q", m.Type)
			case m.TmpfsOptions != nil && m.Type != mount.TypeTmpfs:
				return false, invalidf("TmpfsOptions must not be specified on mount type %q", m.Type)
			}
		}
	}
	if before(v, "1.41") && p.env.Kernel.CgroupVersion == 1 && hc.CgroupnsMode.IsEmpty() {
		hc.CgroupnsMode = container.CgroupnsModeHost
	}
	if before(v, "1.40") {
		p.kernelMemoryTCP = false
		for i := range hc.Mounts {
			if hc.Mounts[i].BindOptions != nil {
				hc.Mounts[i].BindOptions.NonRecursive = false
			}
		}
		if hc.IpcMode.IsEmpty() {
			hc.IpcMode = container.IPCModeShareable
		}
	}
	if before(v, "1.25") {
		hc.AutoRemove = false
	}
	return nonRecursiveReadOnly, nil
}
