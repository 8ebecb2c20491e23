package service

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/network"
)

// networkService serves the Network service of proto/vmhelper/v1.
type networkService struct {
	vmhelperv1.UnimplementedNetworkServer
	s *Service
}

func (n *networkService) plane() *network.Plane { return n.s.cfg.Network }

// AddLink makes a link in a running sandbox.
func (n *networkService) AddLink(ctx context.Context, req *vmhelperv1.AddLinkRequest) (*vmhelperv1.AddLinkResponse, error) {
	if err := checkID("sandbox", req.GetSandboxId()); err != nil {
		return nil, err
	}
	f := n.s.cfg.Driver.Features()
	l, err := toLink(req.GetLink(), f)
	if err != nil {
		return nil, err
	}
	if !f.HotLink {
		return nil, lacks("links cannot be added to a running sandbox")
	}
	sb, err := n.s.cfg.Driver.Get(req.GetSandboxId())
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.AddLinkResponse{}, n.plane().AddLink(ctx, sb, l)
}

// RemoveLink takes a link away.
func (n *networkService) RemoveLink(ctx context.Context, req *vmhelperv1.RemoveLinkRequest) (*vmhelperv1.RemoveLinkResponse, error) {
	if err := firstOf(checkID("sandbox", req.GetSandboxId()), checkLinkName(req.GetName())); err != nil {
		return nil, err
	}
	sb, err := n.s.cfg.Driver.Get(req.GetSandboxId())
	if errdefs.IsNotFound(err) {
		return &vmhelperv1.RemoveLinkResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.RemoveLinkResponse{}, n.plane().RemoveLink(ctx, sb, req.GetName())
}

// SyncTable replaces the relay's table.
func (n *networkService) SyncTable(_ context.Context, req *vmhelperv1.SyncTableRequest) (*vmhelperv1.SyncTableResponse, error) {
	t, err := toTable(req)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.SyncTableResponse{}, n.plane().Sync(t)
}

// ChangeTable changes the relay's table.
func (n *networkService) ChangeTable(_ context.Context, req *vmhelperv1.ChangeTableRequest) (*vmhelperv1.ChangeTableResponse, error) {
	c, err := toChange(req)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.ChangeTableResponse{}, n.plane().Change(c)
}

// Counters tells what was carried.
func (n *networkService) Counters(_ context.Context, req *vmhelperv1.CountersRequest) (*vmhelperv1.CountersResponse, error) {
	if err := checkIDs("endpoint", req.GetEndpointIds()); err != nil {
		return nil, err
	}
	counters, own := n.plane().Relay.Counters(req.GetEndpointIds()...)
	resp := &vmhelperv1.CountersResponse{Endpoints: make([]*vmhelperv1.EndpointCounters, len(counters))}
	for i, c := range counters {
		resp.Endpoints[i] = &vmhelperv1.EndpointCounters{
			EndpointId: c.ID, RxPackets: c.RxPackets, RxBytes: c.RxBytes, RxDropped: c.RxDropped,
			TxPackets: c.TxPackets, TxBytes: c.TxBytes, TxDropped: c.TxDropped,
		}
	}
	if len(req.GetEndpointIds()) == 0 {
		resp.Relay = own
		for k, v := range n.plane().Uplink.Counters() {
			resp.Relay[k] = v
		}
	}
	return resp, nil
}

// SetUplink says where the uplink is.
func (n *networkService) SetUplink(ctx context.Context, req *vmhelperv1.SetUplinkRequest) (*vmhelperv1.SetUplinkResponse, error) {
	s, err := toUplink(req)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.SetUplinkResponse{}, n.plane().Uplink.Set(ctx, s)
}

// Publish opens host ports.
func (n *networkService) Publish(ctx context.Context, req *vmhelperv1.PublishRequest) (*vmhelperv1.PublishResponse, error) {
	p, err := toPort(req.GetPort())
	if err != nil {
		return nil, err
	}
	number, err := n.plane().Publisher.Publish(ctx, p)
	if err != nil {
		return nil, err
	}
	return &vmhelperv1.PublishResponse{HostPort: uint32(number)}, nil
}

// Unpublish closes host ports.
func (n *networkService) Unpublish(ctx context.Context, req *vmhelperv1.UnpublishRequest) (*vmhelperv1.UnpublishResponse, error) {
	if len(req.GetIds()) > maxEntries {
		return nil, invalid("%d published ports are more than %d", len(req.GetIds()), maxEntries)
	}
	for _, id := range req.GetIds() {
		if err := checkPortID(id); err != nil {
			return nil, err
		}
	}
	if err := n.plane().Publisher.Unpublish(ctx, req.GetIds()...); err != nil {
		return nil, fmt.Errorf("unpublish: %w", err)
	}
	return &vmhelperv1.UnpublishResponse{}, nil
}

// ListPublished tells what is published.
func (n *networkService) ListPublished(context.Context, *vmhelperv1.ListPublishedRequest) (*vmhelperv1.ListPublishedResponse, error) {
	resp := &vmhelperv1.ListPublishedResponse{}
	for _, p := range n.plane().Publisher.List() {
		resp.Ports = append(resp.Ports, fromPort(p))
	}
	return resp, nil
}
