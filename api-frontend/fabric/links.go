package fabric

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// AddLink makes the link of an endpoint in a sandbox that runs; where links are trunks it is there already.
func (f *Fabric) AddLink(ctx context.Context, ep *desired.Endpoint) error {
	if f.LinkTrunk() {
		return nil
	}
	mtu := f.MTU()
	if n := f.table.network(ep.NetworkID); n != nil && n.MTU > 0 {
		mtu = n.MTU
	}
	return f.addLink(ctx, ep.SandboxID, &vmhelperv1.Link{Name: ep.Link, Mac: ep.MAC, Mtu: mtu})
}

// RemoveLink takes it away.
func (f *Fabric) RemoveLink(ctx context.Context, ep *desired.Endpoint) error {
	if f.LinkTrunk() {
		return nil
	}
	return f.removeLink(ctx, ep.SandboxID, ep.Link)
}

func (f *Fabric) addLink(ctx context.Context, sandbox string, l *vmhelperv1.Link) error {
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
		_, err := n.AddLink(ctx, &vmhelperv1.AddLinkRequest{SandboxId: sandbox, Link: l})
		return err
	})
	if err != nil {
		return fmt.Errorf("add link %s: %w", l.Name, err)
	}
	return nil
}

func (f *Fabric) removeLink(ctx context.Context, sandbox, name string) error {
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
		_, err := n.RemoveLink(ctx, &vmhelperv1.RemoveLinkRequest{SandboxId: sandbox, Name: name})
		return err
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}
