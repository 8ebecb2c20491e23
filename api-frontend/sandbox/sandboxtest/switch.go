package sandboxtest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Switch is the network side of the fake vmhelper: it moves no frame, and remembers what it was told.
type Switch struct {
	vmhelperv1.UnimplementedNetworkServer
	h *Helper

	mu        sync.Mutex
	networks  map[string]*vmhelperv1.RelayNetwork
	endpoints map[string]*vmhelperv1.RelayEndpoint
	ovs       *vmhelperv1.OvsLink
	uplink    *vmhelperv1.SetUplinkRequest
	published map[string]*vmhelperv1.PublishedPort
	links     map[string]map[string]*vmhelperv1.Link // by sandbox and name, those that were added.
	syncs     int
}

func newSwitch(h *Helper) *Switch {
	return &Switch{
		h: h, networks: map[string]*vmhelperv1.RelayNetwork{}, endpoints: map[string]*vmhelperv1.RelayEndpoint{},
		published: map[string]*vmhelperv1.PublishedPort{}, links: map[string]map[string]*vmhelperv1.Link{},
	}
}

// Forget is what the death of the worker does: the table is lost, published ports are not.
func (s *Switch) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.networks)
	clear(s.endpoints)
	s.ovs, s.uplink, s.syncs = nil, nil, 0
}

// Table is what the relay has been told: IDs of networks and endpoints, sorted.
func (s *Switch) Table() (networks, endpoints []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.networks)), slices.Sorted(maps.Keys(s.endpoints))
}

// Endpoint is one entry of the table, or nil.
func (s *Switch) Endpoint(id string) *vmhelperv1.RelayEndpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints[id]
}

// Uplink is what SetUplink said last, and OVS the trunk.
func (s *Switch) Uplink() (*vmhelperv1.SetUplinkRequest, *vmhelperv1.OvsLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uplink, s.ovs
}

// Published lists the IDs of the ports that are open, sorted.
func (s *Switch) Published() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.published))
}

// ClosePort takes a published port away, as the death of the keeper does.
func (s *Switch) ClosePort(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.published, id)
}

// Links lists the names of the links that were added to a running sandbox, sorted.
func (s *Switch) Links(sandbox string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.links[sandbox]))
}

// AddLink implements the API.
func (s *Switch) AddLink(_ context.Context, req *vmhelperv1.AddLinkRequest) (*vmhelperv1.AddLinkResponse, error) {
	if s.h.Box(req.SandboxId) == nil {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[req.SandboxId] == nil {
		s.links[req.SandboxId] = map[string]*vmhelperv1.Link{}
	}
	s.links[req.SandboxId][req.Link.Name] = req.Link
	return &vmhelperv1.AddLinkResponse{}, nil
}

// RemoveLink implements the API.
func (s *Switch) RemoveLink(_ context.Context, req *vmhelperv1.RemoveLinkRequest) (*vmhelperv1.RemoveLinkResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links[req.SandboxId], req.Name)
	return &vmhelperv1.RemoveLinkResponse{}, nil
}

// SyncTable implements the API.
func (s *Switch) SyncTable(_ context.Context, req *vmhelperv1.SyncTableRequest) (*vmhelperv1.SyncTableResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.networks)
	clear(s.endpoints)
	s.ovs = req.Ovs
	s.syncs++
	s.putLocked(req.Networks, req.Endpoints)
	return &vmhelperv1.SyncTableResponse{}, nil
}

// ChangeTable implements the API.
func (s *Switch) ChangeTable(_ context.Context, req *vmhelperv1.ChangeTableRequest) (*vmhelperv1.ChangeTableResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range req.RemoveEndpoints {
		delete(s.endpoints, id)
	}
	for _, id := range req.RemoveNetworks {
		delete(s.networks, id)
		maps.DeleteFunc(s.endpoints, func(_ string, ep *vmhelperv1.RelayEndpoint) bool { return ep.NetworkId == id })
	}
	for _, ep := range req.Endpoints { // A relay knows no endpoint without its network.
		named := slices.ContainsFunc(req.Networks, func(n *vmhelperv1.RelayNetwork) bool { return n.Id == ep.NetworkId })
		if s.networks[ep.NetworkId] == nil && !named {
			return nil, status.Errorf(codes.NotFound, "there is no network %s", ep.NetworkId)
		}
	}
	s.putLocked(req.Networks, req.Endpoints)
	if req.Ovs != nil {
		s.ovs = req.Ovs
	}
	return &vmhelperv1.ChangeTableResponse{}, nil
}

func (s *Switch) putLocked(ns []*vmhelperv1.RelayNetwork, eps []*vmhelperv1.RelayEndpoint) {
	for _, n := range ns {
		if old := s.networks[n.Id]; old == nil || n.Generation > old.Generation {
			s.networks[n.Id] = n
		}
	}
	for _, ep := range eps {
		if old := s.endpoints[ep.Id]; old == nil || ep.Generation > old.Generation {
			s.endpoints[ep.Id] = ep
		}
	}
}

// Counters implements the API: every endpoint has received a frame of 60 bytes.
func (s *Switch) Counters(_ context.Context, req *vmhelperv1.CountersRequest) (*vmhelperv1.CountersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &vmhelperv1.CountersResponse{}
	for _, id := range req.EndpointIds {
		if s.endpoints[id] != nil {
			resp.Endpoints = append(resp.Endpoints, &vmhelperv1.EndpointCounters{EndpointId: id, RxPackets: 1, RxBytes: 60})
		}
	}
	return resp, nil
}

// SetUplink implements the API.
func (s *Switch) SetUplink(_ context.Context, req *vmhelperv1.SetUplinkRequest) (*vmhelperv1.SetUplinkResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uplink = req
	return &vmhelperv1.SetUplinkResponse{}, nil
}

// Publish implements the API.
func (s *Switch) Publish(_ context.Context, req *vmhelperv1.PublishRequest) (*vmhelperv1.PublishResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.published[req.Port.Id]; have != nil {
		return &vmhelperv1.PublishResponse{HostPort: have.HostPort}, nil
	}
	p := proto.Clone(req.Port).(*vmhelperv1.PublishedPort)
	if p.HostPort == 0 {
		p.HostPort = uint32(32768 + len(s.published))
	}
	for _, o := range s.published {
		if o.HostPort == p.HostPort && o.Protocol == p.Protocol {
			return nil, status.Errorf(codes.AlreadyExists, "%s:%d", p.HostIps[0], p.HostPort)
		}
	}
	s.published[p.Id] = p
	return &vmhelperv1.PublishResponse{HostPort: p.HostPort}, nil
}

// Unpublish implements the API.
func (s *Switch) Unpublish(_ context.Context, req *vmhelperv1.UnpublishRequest) (*vmhelperv1.UnpublishResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range req.Ids {
		delete(s.published, id)
	}
	return &vmhelperv1.UnpublishResponse{}, nil
}

// ListPublished implements the API.
func (s *Switch) ListPublished(context.Context, *vmhelperv1.ListPublishedRequest) (*vmhelperv1.ListPublishedResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &vmhelperv1.ListPublishedResponse{Ports: slices.Collect(maps.Values(s.published))}, nil
}
