package relay

import (
	"net/netip"

	"github.com/hashicorp/go-hclog"
)

// Config of a relay.
type Config struct {
	Log hclog.Logger // nil: silent.

	write func(fd int, p []byte) error // nil: the system's; tests have one that runs out of buffers.
}

// LinkKey names a link: the ID of its sandbox and its name there.
type LinkKey struct{ Sandbox, Name string }

// LinkOptions say what a link carries.
type LinkOptions struct {
	VnetHeader int    // bytes of virtio_net_hdr before each frame: 0, 10 or 12.
	MTU        uint32 // the largest payload of a frame; 0: 65535.
	Trunk      bool   // frames carry 802.1Q tags.
	Checksums  bool   // frames with a checksum still to be completed are accepted; needs a header.
	Segments   bool   // TCP segments of up to 64 KiB to be cut later are accepted; needs a header.
}

// Network is one broadcast domain.
type Network struct {
	ID         string
	Generation uint64
	Isolated   bool // endpoints reach the gateway alone.
	Inspected  bool // frames between endpoints go to the trunk of OVS: a policy wants to see them.
	Subnets    []netip.Prefix
}

// Endpoint is a place where frames of a network enter and leave.
type Endpoint struct {
	ID         string
	Generation uint64
	Network    string
	Link       LinkKey
	Tag        uint16 // VLAN on a trunk, 1-4094; 0: the link is this endpoint's alone.
	OVSTag     uint16 // VLAN on the trunk of OVS, 1-4094, unique; 0: nothing of it goes there.
	MAC        [6]byte
	Addresses  []netip.Addr
	Gateway    bool // the gateway of its network: source addresses are not checked, only its MAC.
	AnySource  bool // may use unassigned addresses of the network's subnets as source.
}

// Table is all that a relay knows.
type Table struct {
	Networks  []Network
	Endpoints []Endpoint
	OVS       *LinkKey // nil: there is no helper; what would go there is dropped and counted.
}

// Change is a difference between two tables.
type Change struct {
	RemoveEndpoints []string
	RemoveNetworks  []string // with their endpoints.
	Networks        []Network
	Endpoints       []Endpoint
	OVS             *LinkKey // nil: as it was.
	DropOVS         bool
}

// EndpointCounters count the frames of an endpoint as its container sees them: received is what was written to it.
type EndpointCounters struct {
	ID                            string
	RxPackets, RxBytes, RxDropped uint64
	TxPackets, TxBytes, TxDropped uint64
}
