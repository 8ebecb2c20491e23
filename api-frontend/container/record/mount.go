package record

import "github.com/moby/moby/api/types/mount"

// MountPoint is one mount of a container in normal form, whatever field of the request it came from.
type MountPoint struct {
	Type mount.Type `json:"type"` // volume, bind or tmpfs.
	// Name is the name of a volume. Anonymous volumes have a name of 64 hex digits too.
	Name   string `json:"name,omitempty"`
	Driver string `json:"driver,omitempty"`
	// DriverOptions and Labels are those with which a volume that is missing is made.
	DriverOptions map[string]string `json:"driverOptions,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`

	Source      string            `json:"source,omitempty"` // of a bind, on the host; for a volume its mount point.
	Destination string            `json:"destination"`      // absolute and clean, in the container.
	RW          bool              `json:"rw"`
	Mode        string            `json:"mode,omitempty"` // the options of -v as given, for display.
	Propagation mount.Propagation `json:"propagation,omitempty"`
	Subpath     string            `json:"subpath,omitempty"` // below the volume; relative, never leaving it.

	// CopyUp: an empty volume is filled from the image.
	CopyUp bool `json:"copyUp,omitempty"`
	// CreateSource: a missing source becomes a directory (-v), instead of being an error (--mount).
	CreateSource bool `json:"createSource,omitempty"`
	// Anonymous: the volume goes with the container when it is removed with its volumes.
	Anonymous bool `json:"anonymous,omitempty"`
	// FromImage: the image's configuration asked for it.
	FromImage bool `json:"fromImage,omitempty"`

	NonRecursive           bool `json:"nonRecursive,omitempty"`           // submounts of the source are left out.
	ReadOnlyNonRecursive   bool `json:"readOnlyNonRecursive,omitempty"`   // submounts stay writable.
	ReadOnlyForceRecursive bool `json:"readOnlyForceRecursive,omitempty"` // fail rather than leave them writable.

	// TmpfsOptions are mount options, ready for the kernel: "size=65536", "mode=1777", "noexec".
	TmpfsOptions []string `json:"tmpfsOptions,omitempty"`
	// Unlisted: --tmpfs, which inspect does not show among the mounts.
	Unlisted bool `json:"unlisted,omitempty"`
}

// Volumes calls f for the name of each volume that the container uses, each once, until f says false.
func (c *Container) Volumes(f func(name string) bool) {
	for i, m := range c.Mounts {
		if m.Type != mount.TypeVolume || m.Name == "" || seen(c.Mounts[:i], m.Name) {
			continue
		}
		if !f(m.Name) {
			return
		}
	}
}

func seen(ms []MountPoint, volume string) bool {
	for _, m := range ms {
		if m.Type == mount.TypeVolume && m.Name == volume {
			return true
		}
	}
	return false
}
