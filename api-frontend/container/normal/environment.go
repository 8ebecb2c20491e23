package normal

import (
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// ImageDefaults is what an image gives to a container made from it.
type ImageDefaults struct {
	ID       string   // "sha256:..." of its configuration.
	Layers   []string // IDs of the layer disks, base layer first.
	Platform record.Platform
	Config   *dockerspec.DockerOCIImageConfig // nil: nothing.
}

// Environment is all that Create knows of the world.
type Environment struct {
	Features *vmhelperv1.Features // of the driver; nil: it can do nothing special.
	Kernel   Kernel
	Defaults Defaults
	// Container finds another container by ID, unique prefix or name, with Docker's sentence when there is none.
	Container func(name string) (*record.Container, error)
	// BindSource tells whether a bind source exists, seen with the rights of the instance's owner. Nil: not asked.
	BindSource func(path string) (exists bool, err error)
	// VolumeSource is the directory that is shown as the mount point of a volume. Nil: none is shown.
	VolumeSource func(name string) string
	// NewID makes 64 random hex digits: the ID of the container, and names of anonymous volumes.
	NewID func() string
	// Hostname is the host's, for containers in its network namespace.
	Hostname string
	Now      time.Time
}

// Defaults are what daemon.json says of new containers. Zero values mean Docker's defaults.
type Defaults struct {
	LogConfig       container.LogConfig    // json-file.
	ShmSize         int64                  // 64 MiB.
	IpcMode         container.IpcMode      // private.
	CgroupnsMode    container.CgroupnsMode // private on cgroup v2, host on v1.
	NoNewPrivileges bool
	Init            bool
	Ulimits         map[string]*container.Ulimit // added at start and in inspect, never stored in a record.
}

// The defaults of dockerd.
const (
	defaultShmSize = 64 << 20
	defaultDriver  = "json-file"
	defaultRuntime = "runc"
	localDriver    = "local"
)
