package sandboxtest

import (
	"context"
	"maps"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Network is what an agent was told of the network of a container.
type Network struct {
	Config *guestv1.NetworkConfig
	Names  *guestv1.NameTable
	Files  map[string]string // by path.
}

// Network tells what the agent was told last of a container that it has started.
func (b *Box) Network(container string) Network {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.network[container]
	if n == nil {
		return Network{}
	}
	return Network{n.Config, n.Names, maps.Clone(n.Files)}
}

// Links are the links that the sandbox was made with.
func (b *Box) Links() []*vmhelperv1.Link { return b.links }

func (b *Box) told(container string, f func(n *Network)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.network[container]
	if n == nil {
		return status.Error(codes.NotFound, "the container does not run")
	}
	f(n)
	return nil
}

// ConfigureNetwork implements the API.
func (b *Box) ConfigureNetwork(_ context.Context, req *guestv1.ConfigureNetworkRequest) (*guestv1.ConfigureNetworkResponse, error) {
	return &guestv1.ConfigureNetworkResponse{}, b.told(req.ContainerId, func(n *Network) { n.Config = req.Config })
}

// SetNames implements the API.
func (b *Box) SetNames(_ context.Context, req *guestv1.SetNamesRequest) (*guestv1.SetNamesResponse, error) {
	return &guestv1.SetNamesResponse{}, b.told(req.ContainerId, func(n *Network) {
		if req.Names.GetGeneration() > n.Names.GetGeneration() {
			n.Names = req.Names
		}
	})
}

// WriteFiles implements the API.
func (b *Box) WriteFiles(_ context.Context, req *guestv1.WriteFilesRequest) (*guestv1.WriteFilesResponse, error) {
	return &guestv1.WriteFilesResponse{}, b.told(req.ContainerId, func(n *Network) {
		for _, f := range req.Files {
			n.Files[f.Path] = string(f.Content)
		}
	})
}

// Stats implements the API: a container has used nothing.
func (b *Box) Stats(_ context.Context, req *guestv1.StatsRequest) (*guestv1.StatsResponse, error) {
	if _, err := b.running(req.ContainerId); err != nil {
		return nil, err
	}
	return &guestv1.StatsResponse{ReadUnixNano: 1, Stats: []byte("{}")}, nil
}
