package network

import (
	"context"
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// Fabric makes the world as the desired state says: the relay, the helper, published ports, links. That the helper cannot
// be reached is its own business, which a later resync mends: it returns errors only for what the caller must undo.
type Fabric interface {
	ApplyNetwork(ctx context.Context, n *desired.Network) error
	RemoveNetwork(ctx context.Context, id string) error
	// Grant lets endpoints speak: in OVN first, then in the relay.
	Grant(ctx context.Context, eps ...*desired.Endpoint) error
	// Revoke silences endpoints: in the relay first. It unpublishes nothing. Absent ones are no error.
	Revoke(ctx context.Context, endpointIDs ...string) error
	// Publish opens a host port and tells which one: errdefs.ErrAlreadyExists when another published port has it,
	// ErrFailedPrecondition when the host refuses, ErrResourceExhausted when no port of the range is free.
	Publish(ctx context.Context, ep *desired.Endpoint, n *desired.Network, p desired.Port) (hostPort uint16, err error)
	// Unpublish closes ports, by desired.Port's ID. Absent ones are no error.
	Unpublish(ctx context.Context, ids ...string) error
	// AddLink makes the link of an endpoint in a sandbox that runs.
	AddLink(ctx context.Context, ep *desired.Endpoint) error
	RemoveLink(ctx context.Context, ep *desired.Endpoint) error
	Counters(ctx context.Context, endpointIDs ...string) ([]Counters, error)
	// Upstreams are the DNS servers reached from an endpoint of n, "IP:PORT".
	Upstreams(n *desired.Network) []string
	// HostAddress is what host.docker.internal and host-gateway stand for; invalid: nothing.
	HostAddress() netip.Addr
	// ReservedSubnets are the uplink's own and those of the host's routes: pools that nobody named avoid them.
	ReservedSubnets() []netip.Prefix
	// LinkTrunk and MTU are of the sandbox driver.
	LinkTrunk() bool
	MTU() uint32
}

// Counters are of one endpoint, as its container sees them.
type Counters struct {
	EndpointID                    string
	RxPackets, RxBytes, RxDropped uint64
	TxPackets, TxBytes, TxDropped uint64
}
