package privileged

import (
	"github.com/arca-engine/arca/vmhelper/keeper"
	"github.com/arca-engine/arca/vmhelper/keeper/wire"
)

// The requests that a worker may make.
const (
	OpStart         = keeper.FirstBackendOp + iota // Start, answered by Description.
	OpReady                                        // Ref: the agent has answered the boot request.
	OpStop                                         // Ref: kill, and answer when nothing is left.
	OpList                                         // After: IDs after it, answered by IDs.
	OpDescribe                                     // Ref without boot: answered by Description.
	OpAdd                                          // Change: answered by Attachments. The agent answers on the boot socket.
	OpRemove                                       // Change: ask the agent to let go.
	OpRemoved                                      // Change: the agent has let go.
	OpCheckBind                                    // Path: answered by Number, a Bind kind.
	OpConnectSocket                                // Path: the answer carries a connected socket.
	OpCreateVolume                                 // After: an ID.
	OpRemoveStore                                  // Store.
	OpUsageStore                                   // Store: answered by Number, bytes.
	OpListStores                                   // Store: IDs after it, answered by IDs.
	OpReleaseDisk                                  // After: an ID.
	OpAddLink                                      // LinkChange: answered by Link, as it was made.
	OpRemoveLink                                   // LinkChange, of which the name counts.
)

// EventExited is told when nothing of a sandbox is left: Exited.
const EventExited uint16 = 1

// BootName is the name of the stored boot socket, AgentName of the agent's socket in the file system (O_PATH), and
// LinkName of a link's TAP.
func BootName(id string) string { return keeper.Reserved + id + "/boot" }

// AgentName names the agent's socket.
func AgentName(id string) string { return keeper.Reserved + id + "/agent" }

// LinkName names the TAP of a link.
func LinkName(id, link string) string { return keeper.Reserved + id + "/link/" + link }

// Bounds of messages.
const (
	maxID     = 64
	maxName   = 255 // of a volume.
	maxTag    = 36
	maxPath   = 4096
	maxRef    = 320
	maxItems  = 256
	maxLinks  = 1024 // of a sandbox; a start brings at most maxBootLinks.
	maxPins   = 4096 // network namespaces of containers that are looked into.
	maxReason = 2048
	pageSize  = 256
)

// maxBootLinks fit into a boot request with room to spare.
const maxBootLinks = 512

// pinned is where, in its own root, an agent pins the network namespaces of its containers.
const pinned = "run/netns"

// BootSeq is the sequence number of the boot request; a worker begins its own above it.
const BootSeq = 1

// Share is a bind source.
type Share struct {
	Tag, Path        string
	ReadOnly, Create bool
}

// Things are what can be attached.
type Things struct {
	Disks, Uppers, Volumes []string
	Shares                 []Share
}

// Wire lists the fields.
func (m *Things) Wire(c *wire.Codec) {
	c.Strings(&m.Disks, maxItems, maxID)
	c.Strings(&m.Uppers, maxItems, maxID)
	c.Strings(&m.Volumes, maxItems, maxName)
	wire.List(c, &m.Shares, maxItems, func(c *wire.Codec, s *Share) {
		c.String(&s.Tag, maxTag)
		c.String(&s.Path, maxPath)
		c.Bool(&s.ReadOnly)
		c.Bool(&s.Create)
	})
}

// Link is a TAP to make.
type Link struct {
	Name string
	MAC  []byte
	MTU  uint32
}

// Wire lists the fields.
func (m *Link) Wire(c *wire.Codec) { wireLink(c, m) }

func wireLink(c *wire.Codec, l *Link) {
	c.String(&l.Name, 15)
	c.Bytes(&l.MAC, 6)
	c.Uint32(&l.MTU)
}

// LinkChange adds or removes a link.
type LinkChange struct {
	Ref  Ref
	Link Link
}

// Wire lists the fields.
func (m *LinkChange) Wire(c *wire.Codec) {
	m.Ref.Wire(c)
	m.Link.Wire(c)
}

// Start starts a sandbox.
type Start struct {
	ID, BootID                                          string
	Things                                              Things
	Links                                               []Link
	MemoryBytes                                         uint64
	CPUs                                                float64
	HostNetwork, HostPID, HostIPC, HostUTS, HostDevices bool
}

// Wire lists the fields.
func (m *Start) Wire(c *wire.Codec) {
	c.String(&m.ID, maxID)
	c.String(&m.BootID, maxID)
	m.Things.Wire(c)
	wire.List(c, &m.Links, maxLinks, wireLink)
	c.Uint64(&m.MemoryBytes)
	c.Float64(&m.CPUs)
	for _, b := range []*bool{&m.HostNetwork, &m.HostPID, &m.HostIPC, &m.HostUTS, &m.HostDevices} {
		c.Bool(b)
	}
}

// Attachment is what was attached.
type Attachment struct {
	Kind    uint8 // a Kind constant.
	ID, Ref string
	IsDir   bool
}

// The kinds of an attachment, with the numbers of proto/vmhelper/v1.
const (
	KindDisk   uint8 = 1
	KindUpper  uint8 = 2
	KindVolume uint8 = 3
	KindShare  uint8 = 4
)

func wireAttachments(c *wire.Codec, as *[]Attachment) {
	wire.List(c, as, 4*maxItems, func(c *wire.Codec, a *Attachment) {
		c.Uint8(&a.Kind)
		c.String(&a.ID, maxName)
		c.String(&a.Ref, maxRef)
		c.Bool(&a.IsDir)
	})
}

// Attachments answers a change. Sent tells that the agent was asked and will answer on the boot socket.
type Attachments struct {
	Sent        bool
	Attachments []Attachment
}

// Wire lists the fields.
func (m *Attachments) Wire(c *wire.Codec) { c.Bool(&m.Sent); wireAttachments(c, &m.Attachments) }

// Description tells of a sandbox.
type Description struct {
	ID, BootID  string
	Pid         uint32
	Started     uint64 // nanoseconds since 1970.
	Ready       bool
	Attachments []Attachment
	Links       []Link // those whose TAPs are stored.
}

// Wire lists the fields.
func (m *Description) Wire(c *wire.Codec) {
	c.String(&m.ID, maxID)
	c.String(&m.BootID, maxID)
	c.Uint32(&m.Pid)
	c.Uint64(&m.Started)
	c.Bool(&m.Ready)
	wireAttachments(c, &m.Attachments)
	wire.List(c, &m.Links, maxLinks, wireLink)
}

// Ref names a boot of a sandbox; an empty BootID is any.
type Ref struct{ ID, BootID string }

// Wire lists the fields.
func (m *Ref) Wire(c *wire.Codec) { c.String(&m.ID, maxID); c.String(&m.BootID, maxID) }

// Change adds or removes attachments. Seq is that of the request to the agent. Of shares, removal looks at tags alone.
type Change struct {
	Ref    Ref
	Seq    uint64
	Things Things
}

// Wire lists the fields.
func (m *Change) Wire(c *wire.Codec) {
	m.Ref.Wire(c)
	c.Uint64(&m.Seq)
	m.Things.Wire(c)
}

// Exited tells how a sandbox ended.
type Exited struct {
	Ref    Ref
	Reason string
}

// Wire lists the fields.
func (m *Exited) Wire(c *wire.Codec) { m.Ref.Wire(c); c.String(&m.Reason, maxReason) }

// After is an ID, or the place in a list after which to go on.
type After struct{ ID string }

// Wire lists the fields.
func (m *After) Wire(c *wire.Codec) { c.String(&m.ID, maxName) }

// IDs is a page of a list; an empty one is the end.
type IDs struct{ IDs []string }

// Wire lists the fields.
func (m *IDs) Wire(c *wire.Codec) { c.Strings(&m.IDs, pageSize, maxName) }

// Store names an upper or a volume.
type Store struct {
	Volume bool
	ID     string
}

// Wire lists the fields.
func (m *Store) Wire(c *wire.Codec) { c.Bool(&m.Volume); c.String(&m.ID, maxName) }

// Path is a path of the host.
type Path struct{ Path string }

// Wire lists the fields.
func (m *Path) Wire(c *wire.Codec) { c.String(&m.Path, maxPath) }

// Number is a number.
type Number struct{ N uint64 }

// Wire lists the fields.
func (m *Number) Wire(c *wire.Codec) { c.Uint64(&m.N) }

// What CheckBind finds, with the numbers of proto/vmhelper/v1.
const (
	BindAbsent    = 1
	BindDirectory = 2
	BindFile      = 3
	BindSocket    = 4
	BindOther     = 5
)
