package bootwire

import "os"

// What an agent inherits.
const (
	BootDescriptor     = 3            // the boot socket.
	ListenerDescriptor = 4            // the listener of the control channel.
	Env                = "ARCA_GUEST" // set to one of those below.
	EnvNamespace       = "namespace"
	EnvMachine         = "machine" // by the kernel's command line; nothing is inherited.
)

// Bounds. A packet that breaks one is refused.
const (
	MaxSpec        = 64 << 10 // bytes of an encoded Spec.
	MaxAttachments = 1024     // attachments of one request.
	MaxResponse    = 8 << 10  // bytes of an encoded Response.
	maxPacket      = 128 << 10
	perPacket      = 64 // attachments, and so descriptors, in one packet.
	maxString      = 4096
)

// Type says what a request asks for.
type Type string

// The types of a request.
const (
	Boot   Type = "boot"   // Spec and Attachments are set; the first request, and only the first.
	Add    Type = "add"    // Attachments are set.
	Remove Type = "remove" // Attachments name what to take away by kind and ID; they carry no files.
)

// Request is what vmhelper asks of an agent.
type Request struct {
	Seq         uint64 // chosen by vmhelper, never used twice on one socket.
	Type        Type
	Spec        *Spec
	Attachments []Attachment
}

// Close closes the files of the request's attachments that were not taken (set to nil).
func (r *Request) Close() {
	for i := range r.Attachments {
		if f := r.Attachments[i].File; f != nil {
			_ = f.Close()
			r.Attachments[i].File = nil
		}
	}
}

// Response answers the request of the same sequence number. An empty Error is success: for a boot it means ready.
type Response struct {
	Seq   uint64 `json:"seq"`
	Error string `json:"error,omitempty"` // one sentence.
}

// Spec is what an agent must know to boot.
type Spec struct {
	ID          string   `json:"id"`      // of the sandbox.
	BootID      string   `json:"boot_id"` // of this boot of it; Hello answers with it.
	AllowedUIDs []uint32 `json:"allowed_uids"`
	HostNetwork bool     `json:"host_network,omitempty"` // the agent is in the host's network namespace.
	HostPID     bool     `json:"host_pid,omitempty"`     // the agent is not PID 1, and sees the host's processes.
	HostIPC     bool     `json:"host_ipc,omitempty"`
	HostUTS     bool     `json:"host_uts,omitempty"`
	HostDevices bool     `json:"host_devices,omitempty"` // the host's /dev is to be visible.
	MemoryBytes uint64   `json:"memory_bytes,omitempty"`
	CPUs        float64  `json:"cpus,omitempty"`
	Cgroup      Cgroup   `json:"cgroup"`
	Links       []Link   `json:"links,omitempty"`
}

// Cgroup tells how control groups look to the agent. It was started inside the sandbox's own groups with a cgroup
// namespace of its own, so in every hierarchy its root is the sandbox's group.
type Cgroup struct {
	Version int           `json:"version"` // 1: resources are in version 1 hierarchies, hybrid included; 2: unified alone.
	Mounts  []CgroupMount `json:"mounts"`  // what the agent mounts.
}

// CgroupMount is one hierarchy.
type CgroupMount struct {
	Name    string `json:"name"`              // of the directory below /sys/fs/cgroup: "memory", "cpu,cpuacct"; empty for version 2's only mount.
	FSType  string `json:"fs_type"`           // "cgroup" or "cgroup2".
	Options string `json:"options,omitempty"` // "memory", "none,name=systemd".
}

// Link is an interface that the driver made in the sandbox's network namespace.
type Link struct {
	Name string `json:"name"`
	MAC  []byte `json:"mac,omitempty"`
	MTU  uint32 `json:"mtu"`
}

// Kind says what an attachment is.
type Kind string

// The kinds of an attachment.
const (
	Disk   Kind = "disk"
	Upper  Kind = "upper"
	Volume Kind = "volume"
	Share  Kind = "share"
	Tool   Kind = "tool"
)

// Attachment is something that the driver gives to a sandbox. Ref is what the frontend will call it by.
type Attachment struct {
	Kind     Kind   `json:"kind"`
	ID       string `json:"id"`
	Ref      string `json:"ref,omitempty"` // "block:/dev/loop3", "dir:/arca/uppers/<id>", "file:/arca/bin/runc".
	IsDir    bool   `json:"is_dir,omitempty"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Major    uint32 `json:"major,omitempty"` // of a block device.
	Minor    uint32 `json:"minor,omitempty"`

	File *os.File `json:"-"` // the detached mount, or the open file of a "program:/path"; nil for a disk.
}
