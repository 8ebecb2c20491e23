package record

import (
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Bucket is the name of the bucket of the database in which containers are kept, by ID.
const Bucket = "containers"

// Container is the durable record of a container.
type Container struct {
	ID      string    `json:"id"`   // 64 lower-case hex digits.
	Name    string    `json:"name"` // without a slash before it.
	Created time.Time `json:"created"`

	Image    string   `json:"image"`   // as the client gave it.
	ImageID  string   `json:"imageID"` // "sha256:..." of its configuration; empty for a container without image.
	Layers   []string `json:"layers"`  // IDs of the layer disks, base layer first.
	Platform Platform `json:"platform"`

	// Path and Args are the command line: the entry point with the command.
	Path string   `json:"path"`
	Args []string `json:"args"`

	Config     *container.Config     `json:"config"`     // merged with the image's.
	HostConfig *container.HostConfig `json:"hostConfig"` // normalised; container:x names full IDs.
	// Networking holds the endpoints as asked for, by the name of the network.
	Networking map[string]*network.EndpointSettings `json:"networking,omitempty"`
	// MacAddress is the container-wide address of clients before API 1.44.
	MacAddress string `json:"macAddress,omitempty"`

	Mounts    []MountPoint        `json:"mounts,omitempty"`
	LogConfig container.LogConfig `json:"logConfig"` // resolved: Type is never empty.
	Security  Security            `json:"security"`

	// Sandbox is the ID of the container whose sandbox this one runs in; empty: one of its own.
	Sandbox string `json:"sandbox,omitempty"`
	// APIVersion is the version of the API that made the container.
	APIVersion string `json:"apiVersion"`

	State State `json:"state"`
}

// Platform is the platform of the image.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// Seccomp profiles that are no JSON text.
const (
	SeccompDefault    = ""           // the engine's default; none for a privileged container.
	SeccompBuiltin    = "builtin"    // the engine's default, asked for by name.
	SeccompUnconfined = "unconfined" // no profile.
)

// Security is the normal form of HostConfig.SecurityOpt.
type Security struct {
	NoNewPrivileges bool   `json:"noNewPrivileges,omitempty"`
	Seccomp         string `json:"seccomp,omitempty"`  // one of the constants above, or a profile in JSON.
	AppArmor        string `json:"appArmor,omitempty"` // a profile's name, or "unconfined".
	WritableCgroups bool   `json:"writableCgroups,omitempty"`
}

// ShortID is the ID as tables show it.
func (c *Container) ShortID() string {
	if len(c.ID) > 12 {
		return c.ID[:12]
	}
	return c.ID
}

// SandboxID is the ID of the sandbox that the container runs in.
func (c *Container) SandboxID() string {
	if c.Sandbox != "" {
		return c.Sandbox
	}
	return c.ID
}

// IsRunning tells whether the first process lives, paused or not.
func (c *Container) IsRunning() bool { return c.State.IsRunning() }

// Clone returns a copy whose State and slices of its own may be changed. Config, HostConfig and Networking are
// shared: whoever changes one of them replaces it by a changed copy.
func (c *Container) Clone() *Container {
	n := *c
	n.Mounts = append([]MountPoint(nil), c.Mounts...)
	n.State = c.State.clone()
	return &n
}
