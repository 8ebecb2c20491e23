package normal

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func mountError(m *mount.Mount, sentence string) error {
	return invalidf("invalid mount config for type %q: %s", m.Type, sentence)
}

func extraField(m *mount.Mount, name string) error {
	return mountError(m, fmt.Sprintf("field %s must not be specified", name))
}

func missingField(m *mount.Mount, name string) error {
	return mountError(m, fmt.Sprintf("field %s must not be empty", name))
}

// checkTarget validates a destination in the container.
func checkTarget(dest string) error {
	slashed := strings.ReplaceAll(dest, `\`, `/`)
	if path.Clean(slashed) == "/" {
		return invalid("invalid specification: destination can't be '/'")
	}
	if !path.IsAbs(slashed) {
		return invalidf("invalid mount path: '%s' mount path must be absolute", slashed)
	}
	if hasNul(dest) {
		return invalidf("invalid mount path: %q contains nul byte", dest)
	}
	return nil
}

// checkMount is moby's ValidateMountConfig; whether the source exists is asked of the Environment.
func (p *Prepared) checkMount(m *mount.Mount) error {
	if err := checkMountShape(m); err != nil {
		return err
	}
	if m.Type != mount.TypeBind || p.env.BindSource == nil || m.BindOptions != nil && m.BindOptions.CreateMountpoint {
		return nil
	}
	exists, err := p.env.BindSource(path.Clean(m.Source))
	if err != nil {
		return err
	}
	if !exists {
		return mountError(m, "bind source path does not exist: "+m.Source)
	}
	return nil
}

func checkMountShape(m *mount.Mount) error {
	if m.Target == "" {
		return missingField(m, "Target")
	}
	if err := checkTarget(m.Target); err != nil {
		return mountError(m, err.Error())
	}
	for _, o := range []struct {
		set  bool
		of   mount.Type
		name string
	}{
		{m.BindOptions != nil, mount.TypeBind, "BindOptions"},
		{m.VolumeOptions != nil, mount.TypeVolume, "VolumeOptions"},
		{m.ImageOptions != nil, mount.TypeImage, "ImageOptions"},
		{m.TmpfsOptions != nil, mount.TypeTmpfs, "TmpfsOptions"},
	} {
		if o.set && o.of != m.Type && slices.Contains([]mount.Type{mount.TypeBind, mount.TypeVolume, mount.TypeTmpfs, mount.TypeImage}, m.Type) {
			return extraField(m, o.name)
		}
	}
	switch m.Type {
	case mount.TypeBind:
		return checkBind(m)
	case mount.TypeVolume:
		return checkVolume(m)
	case mount.TypeTmpfs:
		if m.Source != "" {
			return extraField(m, "Source")
		}
		_, err := tmpfsOptions(m)
		return err
	case mount.TypeImage:
		return errImageMount
	default:
		return mountError(m, "mount type unknown")
	}
}

func checkBind(m *mount.Mount) error {
	if m.Source == "" {
		return missingField(m, "Source")
	}
	if o := m.BindOptions; o != nil {
		if o.Propagation != "" && !slices.Contains(mount.Propagations, o.Propagation) {
			return mountError(m, fmt.Sprintf("invalid propagation mode: %s", o.Propagation))
		}
		switch {
		case !m.ReadOnly && o.ReadOnlyNonRecursive:
			return invalid("mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive")
		case !m.ReadOnly && o.ReadOnlyForceRecursive:
			return invalid("mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive")
		case o.ReadOnlyNonRecursive && o.ReadOnlyForceRecursive:
			return invalid("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
		}
	}
	if !path.IsAbs(m.Source) {
		return mountError(m, fmt.Sprintf("invalid mount path: '%s' mount path must be absolute", m.Source))
	}
	if hasNul(m.Source) {
		return mountError(m, fmt.Sprintf("invalid mount path: %q contains nul byte", m.Source))
	}
	return nil
}

func checkVolume(m *mount.Mount) error {
	o := m.VolumeOptions
	if o != nil && o.Subpath != "" {
		if m.Source == "" {
			return mountError(m, "must not set Subpath when using anonymous volumes")
		}
		if !filepath.IsLocal(o.Subpath) || hasNul(o.Subpath) {
			return mountError(m, "subpath must be a relative path within the volume")
		}
	}
	return nil
}

// point makes the normal form of a mount that passed checkMountShape.
func (p *Prepared) point(m *mount.Mount) (record.MountPoint, error) {
	mp := record.MountPoint{Type: m.Type, Destination: path.Clean(strings.ReplaceAll(m.Target, `\`, `/`)), RW: !m.ReadOnly}
	switch m.Type {
	case mount.TypeVolume:
		return mp, p.volumePoint(&mp, m)
	case mount.TypeBind:
		mp.Source = path.Clean(m.Source)
		mp.Propagation = mount.PropagationRPrivate
		if o := m.BindOptions; o != nil {
			if o.Propagation != "" {
				mp.Propagation = o.Propagation
			}
			mp.CreateSource = o.CreateMountpoint
			mp.NonRecursive = o.NonRecursive
			mp.ReadOnlyNonRecursive = o.ReadOnlyNonRecursive
			mp.ReadOnlyForceRecursive = o.ReadOnlyForceRecursive
		}
		if m.ReadOnly && p.roReadOnly {
			mp.ReadOnlyNonRecursive = true
		}
	case mount.TypeTmpfs:
		var err error
		mp.TmpfsOptions, err = tmpfsOptions(m)
		return mp, err
	}
	return mp, nil
}

func (p *Prepared) volumePoint(mp *record.MountPoint, m *mount.Mount) error {
	mp.Name, mp.Driver, mp.CopyUp, mp.Anonymous = m.Source, localDriver, true, m.Source == ""
	if o := m.VolumeOptions; o != nil {
		mp.Subpath, mp.CopyUp, mp.Labels = o.Subpath, !o.NoCopy, o.Labels
		if o.DriverConfig != nil {
			mp.DriverOptions = o.DriverConfig.Options
			if o.DriverConfig.Name != "" {
				mp.Driver = o.DriverConfig.Name
			}
		}
	}
	if mp.Driver != localDriver {
		return invalidf("error looking up volume plugin %s: plugin \"%s\" not found", mp.Driver, mp.Driver)
	}
	if mp.Anonymous {
		mp.Name = p.env.NewID()
	} else if err := checkVolumeName(mp.Name); err != nil {
		return err
	}
	if mp.Mode == "" {
		mp.Mode = "z"
	}
	if p.env.VolumeSource != nil {
		mp.Source = p.env.VolumeSource(mp.Name)
	}
	return nil
}
