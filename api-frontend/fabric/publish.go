package fabric

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// published is a port as vmhelper is asked to open it.
func published(ep *desired.Endpoint, n *desired.Network, p desired.Port) (*vmhelperv1.PublishedPort, error) {
	out := &vmhelperv1.PublishedPort{
		Id: p.ID, EndpointId: ep.ID, HostPort: uint32(p.First), HostPortLast: uint32(p.Last), ContainerPort: uint32(p.ContainerPort),
	}
	switch p.Protocol {
	case "tcp":
		out.Protocol = vmhelperv1.Protocol_TCP
	case "udp":
		out.Protocol = vmhelperv1.Protocol_UDP
	default:
		return nil, fmt.Errorf("publish port %d/%s: the protocol is not supported: %w", p.ContainerPort, p.Protocol, errdefs.ErrInvalidArgument)
	}
	if p.HostPort > 0 { // It was chosen before: it stays.
		out.HostPort, out.HostPortLast = uint32(p.HostPort), uint32(p.HostPort)
	}
	for _, a := range p.HostIPs {
		out.HostIps = append(out.HostIps, a.String())
	}
	for _, r := range n.Rules {
		if !admits(r, ep, p) {
			continue
		}
		if len(r.Sources) == 0 {
			out.Rules = append(out.Rules, &vmhelperv1.SourceRule{Source: "0.0.0.0/0", Allow: r.Allow}, &vmhelperv1.SourceRule{Source: "::/0", Allow: r.Allow})
		}
		for _, s := range r.Sources {
			out.Rules = append(out.Rules, &vmhelperv1.SourceRule{Source: s.String(), Allow: r.Allow})
		}
	}
	return out, nil
}

// admits tells whether a rule speaks of clients of a published port: what comes in from beyond the gateway.
func admits(r desired.Rule, ep *desired.Endpoint, p desired.Port) bool {
	if r.Direction != "in" && r.Direction != "" || r.Protocol != "" && r.Protocol != p.Protocol {
		return false
	}
	if r.PortFirst > 0 && (p.ContainerPort < r.PortFirst || p.ContainerPort > max(r.PortFirst, r.PortLast)) {
		return false
	}
	if len(r.Destinations) == 0 {
		return true
	}
	for _, d := range r.Destinations {
		if ep.IPv4.IsValid() && d.Contains(ep.IPv4.Addr()) || ep.IPv6.IsValid() && d.Contains(ep.IPv6.Addr()) {
			return true
		}
	}
	return false
}

// Publish opens a host port and tells which one.
func (f *Fabric) Publish(ctx context.Context, ep *desired.Endpoint, n *desired.Network, p desired.Port) (uint16, error) {
	port, err := published(ep, n, p)
	if err != nil {
		return 0, err
	}
	var resp *vmhelperv1.PublishResponse
	err = f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) (err error) {
		resp, err = n.Publish(ctx, &vmhelperv1.PublishRequest{Port: port})
		return err
	})
	return uint16(resp.GetHostPort()), err
}

// Unpublish closes ports.
func (f *Fabric) Unpublish(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) error {
		_, err := n.Unpublish(ctx, &vmhelperv1.UnpublishRequest{Ids: ids})
		return err
	})
	if err != nil {
		return fmt.Errorf("unpublish ports: %w", err)
	}
	return nil
}

// syncPublished opens what vmhelper lacks of the ports that were published, and closes what nobody asks for.
func (f *Fabric) syncPublished(ctx context.Context) error {
	var resp *vmhelperv1.ListPublishedResponse
	err := f.client.Network(ctx, func(ctx context.Context, n vmhelperv1.NetworkClient) (err error) {
		resp, err = n.ListPublished(ctx, &vmhelperv1.ListPublishedRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("list published ports: %w", err)
	}
	stale := map[string]bool{}
	for _, p := range resp.Ports {
		stale[p.Id] = true
	}
	state := f.state()
	networks := map[string]*desired.Network{}
	for _, n := range state.Networks {
		networks[n.ID] = n
	}
	for _, ep := range state.Endpoints {
		for _, p := range ep.Ports {
			open := stale[p.ID]
			delete(stale, p.ID)
			n := networks[ep.NetworkID]
			if open || p.HostPort == 0 || n == nil { // Without a port of the host it is just being published.
				continue
			}
			if _, err := f.Publish(ctx, ep, n, p); errdefs.IsUnavailable(err) {
				return err
			} else if err != nil {
				f.log.Error("publish a port again", "container", ep.ContainerID, "port", p.HostPort, "error", err)
			}
		}
	}
	return f.Unpublish(ctx, slices.Collect(maps.Keys(stale))...)
}
