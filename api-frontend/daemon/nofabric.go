package daemon

import (
	"context"
	"net/netip"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/container"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

var (
	errNoFabric  = errdefs.ErrNotImplemented.WithMessage("user-defined networks are not supported by this version of the engine")
	errNoConnect = errdefs.ErrNotImplemented.WithMessage("containers cannot be connected to or disconnected from networks by this version of the engine")
)

// noFabric refuses to make networks.
type noFabric struct{}

var _ network.Fabric = noFabric{}

func (noFabric) ApplyNetwork(context.Context, *desired.Network) error { return errNoFabric }
func (noFabric) RemoveNetwork(context.Context, string) error          { return errNoFabric }
func (noFabric) Grant(context.Context, ...*desired.Endpoint) error    { return errNoFabric }
func (noFabric) Revoke(context.Context, ...string) error              { return errNoFabric }
func (noFabric) Unpublish(context.Context, ...string) error           { return errNoFabric }
func (noFabric) AddLink(context.Context, *desired.Endpoint) error     { return errNoFabric }
func (noFabric) RemoveLink(context.Context, *desired.Endpoint) error  { return errNoFabric }
func (noFabric) Publish(context.Context, *desired.Endpoint, *desired.Network, desired.Port) (uint16, error) {
	return 0, errNoFabric
}
func (noFabric) Counters(context.Context, ...string) ([]network.Counters, error) {
	return nil, errNoFabric
}
func (noFabric) Upstreams(*desired.Network) []string { return nil }
func (noFabric) HostAddress() netip.Addr             { return netip.Addr{} }
func (noFabric) ReservedSubnets() []netip.Prefix     { return nil }
func (noFabric) LinkTrunk() bool                     { return false }
func (noFabric) MTU() uint32                         { return 0 }

// containersOfNetworks are the containers, none of which can change its networks.
type containersOfNetworks struct{ *container.Engine }

var _ network.Containers = containersOfNetworks{}

func (containersOfNetworks) ChangeNetworking(context.Context, string, func(*record.Container) error) (*record.Container, error) {
	return nil, errNoConnect
}
func (containersOfNetworks) Plug(context.Context, string, *desired.Membership) error {
	return errNoConnect
}
func (containersOfNetworks) TellNames(context.Context, string, *guestv1.NameTable) error {
	return errNoConnect
}
