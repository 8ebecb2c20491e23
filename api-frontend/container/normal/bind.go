package normal

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// mode is the third part of -v, parsed.
type mode struct {
	readOnly    bool
	noCopy      bool
	propagation mount.Propagation // empty: not said.
}

// parseMode reports whether s is a mode at all: each kind of option at most once.
func parseMode(s string) (m mode, ok bool) {
	if s == "" {
		return m, true
	}
	var rw, label, prop, copying, consistency int
	for o := range strings.SplitSeq(s, ",") {
		switch {
		case o == "rw" || o == "ro":
			rw++
			m.readOnly = o == "ro"
		case o == "z" || o == "Z":
			label++
		case slices.Contains(mount.Propagations, mount.Propagation(o)):
			prop++
			m.propagation = mount.Propagation(o)
		case o == "nocopy":
			copying++
			m.noCopy = true
		case o == "consistent" || o == "cached" || o == "delegated":
			consistency++
		default:
			return m, false
		}
	}
	return m, max(rw, label, prop, copying, consistency) <= 1
}

// parseBind parses one entry of Binds into the form of a mount.
func parseBind(raw, volumeDriver string) (m mount.Mount, asGiven string, err error) {
	bad := invalidf("invalid volume specification: '%s'", raw)
	parts := strings.SplitN(raw, ":", 4)
	if parts[0] == "" {
		return m, "", bad
	}
	switch len(parts) {
	case 1:
		m.Target = parts[0]
	case 2:
		if _, isMode := parseMode(parts[1]); isMode {
			return m, "", bad
		}
		m.Source, m.Target = parts[0], parts[1]
	case 3:
		m.Source, m.Target, asGiven = parts[0], parts[1], parts[2]
	default:
		return m, "", bad
	}
	opts, ok := parseMode(asGiven)
	if !ok {
		return m, "", invalidf("invalid mode: %s", asGiven)
	}
	m.Type = mount.TypeVolume
	if path.IsAbs(m.Source) {
		m.Type = mount.TypeBind
	}
	m.ReadOnly = opts.readOnly
	if m.Type == mount.TypeVolume && volumeDriver != "" {
		m.VolumeOptions = &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: volumeDriver}}
	}
	if opts.noCopy {
		if m.VolumeOptions == nil {
			m.VolumeOptions = &mount.VolumeOptions{}
		}
		m.VolumeOptions.NoCopy = true
	}
	if opts.propagation != "" {
		m.BindOptions = &mount.BindOptions{Propagation: opts.propagation}
	}
	if err := checkMountShape(&m); err != nil {
		return m, "", invalidf("invalid volume specification: '%s': %v", raw, err)
	}
	return m, asGiven, nil
}

// parseVolumesFrom parses one entry of VolumesFrom.
func parseVolumesFrom(spec string) (name string, readOnly bool, err error) {
	if spec == "" {
		return "", false, invalid("volumes-from specification cannot be an empty string")
	}
	name, given, _ := strings.Cut(spec, ":")
	m, ok := parseMode(given)
	if !ok || m.propagation != "" || m.noCopy {
		return "", false, invalidf("invalid mode: %s", given)
	}
	return name, m.readOnly, nil
}

// mounts joins VolumesFrom, Binds, Mounts, Tmpfs and the volumes of the image, in this order; a later one takes a
// destination from VolumesFrom, and only from there. The result is ordered by destination.
func (p *Prepared) mounts() ([]record.MountPoint, error) {
	at := map[string]record.MountPoint{}
	if err := p.inherit(at); err != nil {
		return nil, err
	}
	asked := map[string]bool{}
	for _, raw := range p.host.Binds {
		m, given, err := parseBind(raw, p.host.VolumeDriver)
		if err != nil {
			return nil, err
		}
		mp, err := p.point(&m)
		if err != nil {
			return nil, err
		}
		if given != "" {
			mp.Mode = given
		}
		mp.CreateSource = mp.Type == mount.TypeBind
		if _, tmpfs := p.host.Tmpfs[mp.Destination]; tmpfs || asked[mp.Destination] {
			return nil, duplicate(mp.Destination)
		}
		asked[mp.Destination], at[mp.Destination] = true, mp
	}
	for i := range p.host.Mounts {
		mp, err := p.point(&p.host.Mounts[i])
		if err != nil {
			return nil, err
		}
		if asked[mp.Destination] {
			return nil, duplicate(p.host.Mounts[i].Target)
		}
		asked[mp.Destination], at[mp.Destination] = true, mp
	}
	for _, dest := range sortedKeys(p.host.Tmpfs) {
		opts, err := mergeTmpfs(splitOptions(p.host.Tmpfs[dest]))
		if err != nil {
			return nil, err
		}
		dest = path.Clean(dest)
		at[dest] = record.MountPoint{Type: mount.TypeTmpfs, Destination: dest, RW: true, TmpfsOptions: opts, Unlisted: true}
	}
	if err := p.imageVolumes(at); err != nil {
		return nil, err
	}
	out := make([]record.MountPoint, 0, len(at))
	for _, dest := range sortedKeys(at) {
		out = append(out, at[dest])
	}
	return out, nil
}

func duplicate(dest string) error { return invalid("Duplicate mount point: " + dest) }

func (p *Prepared) inherit(at map[string]record.MountPoint) error {
	for _, spec := range p.host.VolumesFrom {
		name, readOnly, err := parseVolumesFrom(spec)
		if err != nil {
			return err
		}
		c, err := p.join(name)
		if err != nil {
			return err
		}
		for _, m := range c.Mounts {
			if m.Unlisted {
				continue
			}
			m.RW = m.RW && !readOnly
			m.CopyUp, m.FromImage = false, false
			at[m.Destination] = m
		}
	}
	return nil
}

func (p *Prepared) imageVolumes(at map[string]record.MountPoint) error {
	for _, dest := range sortedKeys(p.config.Volumes) {
		clean := path.Clean(dest)
		if _, taken := at[clean]; taken {
			continue
		}
		if err := checkTarget(dest); err != nil {
			return err
		}
		m := mount.Mount{Type: mount.TypeVolume, Target: dest}
		if p.host.VolumeDriver != "" {
			m.VolumeOptions = &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: p.host.VolumeDriver}}
		}
		mp, err := p.point(&m)
		if err != nil {
			return err
		}
		mp.Mode, mp.FromImage = "", true
		at[clean] = mp
	}
	return nil
}
