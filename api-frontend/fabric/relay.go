package fabric

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// syncTries bounds how often a table that changes under its transfer is transferred again at once.
const syncTries = 100

// relayNetwork is a network as the relay knows it.
func relayNetwork(n *desired.Network) *vmhelperv1.RelayNetwork {
	r := &vmhelperv1.RelayNetwork{Id: n.ID, Generation: n.Generation, Isolated: n.Isolated}
	for _, p := range n.Pools {
		r.Subnets = append(r.Subnets, p.Subnet.String())
	}
	for _, rule := range n.Rules {
		r.Inspected = r.Inspected || rule.Direction == "between" || rule.Direction == ""
	}
	return r
}

func relayEndpoint(ep *desired.Endpoint) *vmhelperv1.RelayEndpoint {
	r := &vmhelperv1.RelayEndpoint{
		Id: ep.ID, Generation: ep.Generation, NetworkId: ep.NetworkID, SandboxId: ep.SandboxID, Link: ep.Link, Tag: uint32(ep.Tag),
		OvsTag: uint32(ep.OVSTag), Mac: ep.MAC, AnySource: ep.AnySource, Addresses: addresses(ep),
	}
	return r
}

func addresses(ep *desired.Endpoint) (all []string) {
	for _, p := range append([]netip.Prefix{ep.IPv4, ep.IPv6}, ep.More...) {
		if p.IsValid() {
			all = append(all, p.Addr().String())
		}
	}
	return all
}

// relayGateway is the gateway of a network, an endpoint in the helper's sandbox; nil: it has none.
func (f *Fabric) relayGateway(n *desired.Network) *vmhelperv1.RelayEndpoint {
	g := n.Gateway
	if g == nil {
		return nil
	}
	r := &vmhelperv1.RelayEndpoint{
		Id: g.EndpointID, Generation: n.Generation, NetworkId: n.ID, SandboxId: f.helper.id, Link: f.gatewayLink(g),
		OvsTag: uint32(g.OVSTag), Mac: g.MAC, Gateway: true,
	}
	if f.LinkTrunk() {
		r.Tag = uint32(g.Tag)
	}
	for _, p := range n.Pools {
		if p.Gateway.IsValid() {
			r.Addresses = append(r.Addresses, p.Gateway.String())
		}
	}
	return r
}

// gatewayLink is the link of a gateway in the helper's sandbox: one for all where links are trunks.
func (f *Fabric) gatewayLink(g *desired.Gateway) string {
	if f.LinkTrunk() {
		return linkGateways
	}
	return g.Link
}

func (f *Fabric) relayNetworks(ns ...*desired.Network) (networks []*vmhelperv1.RelayNetwork, gateways []*vmhelperv1.RelayEndpoint) {
	for _, n := range ns {
		if !bridged(n) {
			continue
		}
		networks = append(networks, relayNetwork(n))
		if g := f.relayGateway(n); g != nil {
			gateways = append(gateways, g)
		}
	}
	return networks, gateways
}

// change tells the relay of a change.
func (f *Fabric) change(ctx context.Context, req *vmhelperv1.ChangeTableRequest) error {
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
		_, err := n.ChangeTable(ctx, req)
		return err
	})
	if err != nil {
		return fmt.Errorf("change the relay's table: %w", err)
	}
	return nil
}

// syncRelay tells the relay everything, and the uplink.
func (f *Fabric) syncRelay(ctx context.Context) error {
	for range syncTries {
		state, changes := f.table.snapshot()
		req := &vmhelperv1.SyncTableRequest{Ovs: &vmhelperv1.OvsLink{SandboxId: f.helper.id, Link: linkOVS}}
		req.Networks, req.Endpoints = f.relayNetworks(state.Networks...)
		for _, ep := range state.Endpoints {
			req.Endpoints = append(req.Endpoints, relayEndpoint(ep))
		}
		err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
			_, err := n.SyncTable(ctx, req)
			return err
		})
		if err != nil {
			return fmt.Errorf("set the relay's table: %w", err)
		}
		if f.table.unchangedSince(changes) {
			break
		}
	}
	return f.setUplink(ctx)
}

// ApplyNetwork makes a network, or changes it.
func (f *Fabric) ApplyNetwork(ctx context.Context, n *desired.Network) error {
	if !bridged(n) {
		return nil
	}
	f.table.putNetwork(n)
	req := &vmhelperv1.ChangeTableRequest{}
	req.Networks, req.Endpoints = f.relayNetworks(n)
	if err := f.change(ctx, req); err != nil {
		return err
	}
	f.helper.applyNetwork(ctx, n)
	return nil
}

// RemoveNetwork ends a network.
func (f *Fabric) RemoveNetwork(ctx context.Context, id string) error {
	n := f.table.removeNetwork(id)
	if err := f.change(ctx, &vmhelperv1.ChangeTableRequest{RemoveNetworks: []string{id}}); err != nil {
		return err
	}
	if n != nil {
		f.helper.removeNetwork(ctx, n)
	}
	return nil
}

// Grant lets endpoints speak.
func (f *Fabric) Grant(ctx context.Context, eps ...*desired.Endpoint) error {
	if len(eps) == 0 {
		return nil
	}
	f.table.putEndpoints(eps...)
	f.helper.applyEndpoints(ctx, eps)
	req := &vmhelperv1.ChangeTableRequest{}
	for _, ep := range eps {
		req.Endpoints = append(req.Endpoints, relayEndpoint(ep))
	}
	err := f.change(ctx, req)
	if errdefs.IsNotFound(err) { // The relay is a new one, and this came before all that it must know.
		return f.syncRelay(ctx)
	}
	return err
}

// Revoke silences endpoints.
func (f *Fabric) Revoke(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	f.table.removeEndpoints(ids...)
	if err := f.change(ctx, &vmhelperv1.ChangeTableRequest{RemoveEndpoints: ids}); err != nil {
		return err
	}
	f.helper.removeEndpoints(ids)
	return nil
}

// Counters are those of endpoints.
func (f *Fabric) Counters(ctx context.Context, ids ...string) (all []network.Counters, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var resp *vmhelperv1.CountersResponse
	err = f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) (err error) {
		resp, err = n.Counters(ctx, &vmhelperv1.CountersRequest{EndpointIds: ids})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the relay's counters: %w", err)
	}
	for _, c := range resp.Endpoints {
		all = append(all, network.Counters{
			EndpointID: c.EndpointId, RxPackets: c.RxPackets, RxBytes: c.RxBytes, RxDropped: c.RxDropped,
			TxPackets: c.TxPackets, TxBytes: c.TxBytes, TxDropped: c.TxDropped,
		})
	}
	return all, nil
}
