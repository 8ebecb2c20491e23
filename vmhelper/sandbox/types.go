package sandbox

import (
	"os"
	"time"
)

// Features says what a driver can do.
type Features struct {
	HotDisk            bool // disks, uppers and volumes can be added to a running sandbox.
	HotShare           bool // shares can be added to a running sandbox.
	HotLink            bool // links can be added to a running sandbox.
	HostNetwork        bool // a sandbox may be in the host's network.
	HostPID            bool
	HostIPC            bool
	HostUTS            bool
	HostCgroup         bool
	HostDevices        bool
	MemoryGrow         bool // a container may get more memory than its sandbox booted with.
	SharedVolumes      bool // a volume may be in several sandboxes at once.
	KernelPerContainer bool
	LinkTrunk          bool   // a link is an 802.1Q trunk; false: one link per endpoint.
	LinkVnetHeader     bool   // frames carry a virtio_net_hdr.
	LinkMTU            uint32 // the largest payload of a frame.
	MaxDisks           uint32 // 0: no limit.
}

// Spec says what to boot.
type Spec struct {
	ID string // 64 lower-case hexadecimal digits.
	Things
	Links                                               []LinkSpec
	MemoryBytes                                         uint64  // 0: the driver's default.
	CPUs                                                float64 // 0: the driver's default.
	HostNetwork, HostPID, HostIPC, HostUTS, HostDevices bool
}

// Things are what can be attached to a sandbox.
type Things struct {
	Disks   []string // read-only layers, by the digest of their content.
	Uppers  []string // writable layers.
	Volumes []string
	Shares  []Share
}

// Empty tells whether nothing is named.
func (t Things) Empty() bool {
	return len(t.Disks)+len(t.Uppers)+len(t.Volumes)+len(t.Shares) == 0
}

// Share is a bind source.
type Share struct {
	Tag      string // unique in the sandbox.
	Path     string // on the host.
	ReadOnly bool
	Create   bool // make a missing source a directory.
}

// LinkSpec is a link to make.
type LinkSpec struct {
	Name string
	MAC  []byte // 6 bytes; empty: the driver chooses.
	MTU  uint32 // 0: Features.LinkMTU.
}

// Link is the host's end of a link.
type Link struct {
	File       *os.File // the caller's own copy.
	VnetHeader int      // bytes of virtio_net_hdr before each frame; 0: none.
	MTU        uint32
}

// Kind says what an attachment is, with the numbers of proto/vmhelper/v1.
type Kind uint8

// The kinds of an attachment.
const (
	Disk   Kind = 1
	Upper  Kind = 2
	Volume Kind = 3
	Mount  Kind = 4 // a Share.
)

// Attachment tells the agent how to find a thing.
type Attachment struct {
	Kind  Kind
	ID    string
	Ref   string // "dir:/path", "block:/dev/loop3", "serial:abcdef", "virtiofs:tag".
	IsDir bool
}

// Info tells of a boot.
type Info struct {
	ID, BootID string
	Pid        int
	Started    time.Time
}

// BindKind says what a bind source is, with the numbers of proto/vmhelper/v1.
type BindKind uint8

// The kinds of a bind source.
const (
	BindAbsent    BindKind = 1
	BindDirectory BindKind = 2
	BindFile      BindKind = 3
	BindSocket    BindKind = 4
	BindOther     BindKind = 5
)
