package service

import (
	"net/netip"
	"slices"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/publish"
	"github.com/arca-engine/arca/vmhelper/relay"
	"github.com/arca-engine/arca/vmhelper/sandbox"
	"github.com/arca-engine/arca/vmhelper/uplink"
)

// Bounds of requests about networks.
const (
	maxEntries   = 16384 // of a table, and of lists of IDs.
	maxSubnets   = 32
	maxAddresses = 32 // of one endpoint.
	maxVLAN      = 4094
	maxHostIPs   = 16
	maxRules     = 256
	maxDenied    = 1024
	maxResolvers = 8
	maxPortID    = 128
)

func checkLinkName(n string) error {
	if !within(n, lower+"-", 15) {
		return invalid("the name of a link must be 1 to 15 of a-z, 0-9 and -, and is %.80q", n)
	}
	return nil
}

func toLink(l *vmhelperv1.Link, f sandbox.Features) (sandbox.LinkSpec, error) {
	return sandbox.LinkSpec{Name: l.GetName(), MAC: l.GetMac(), MTU: l.GetMtu()}, checkLink(l, f)
}

func checkIDs(what string, ids []string) error {
	if len(ids) > maxEntries {
		return invalid("%d IDs are more than %d", len(ids), maxEntries)
	}
	for _, id := range ids {
		if err := checkID(what, id); err != nil {
			return err
		}
	}
	return nil
}

func toTable(req *vmhelperv1.SyncTableRequest) (t relay.Table, err error) {
	if t.Networks, err = toNetworks(req.GetNetworks()); err != nil {
		return t, err
	}
	if t.Endpoints, err = toEndpoints(req.GetEndpoints()); err != nil || req.GetOvs() == nil {
		return t, err
	}
	t.OVS, err = toKey(req.GetOvs().GetSandboxId(), req.GetOvs().GetLink())
	return t, err
}

func toChange(req *vmhelperv1.ChangeTableRequest) (c relay.Change, err error) {
	if err := firstOf(checkIDs("endpoint", req.GetRemoveEndpoints()), checkIDs("network", req.GetRemoveNetworks())); err != nil {
		return c, err
	}
	c.RemoveEndpoints, c.RemoveNetworks = req.GetRemoveEndpoints(), req.GetRemoveNetworks()
	if c.Networks, err = toNetworks(req.GetNetworks()); err != nil {
		return c, err
	}
	if c.Endpoints, err = toEndpoints(req.GetEndpoints()); err != nil || req.GetOvs() == nil {
		return c, err
	}
	if o := req.GetOvs(); o.GetSandboxId() != "" {
		c.OVS, err = toKey(o.GetSandboxId(), o.GetLink())
	} else {
		c.DropOVS = true
	}
	return c, err
}

func toKey(sandboxID, link string) (*relay.LinkKey, error) {
	if err := firstOf(checkID("sandbox", sandboxID), checkLinkName(link)); err != nil {
		return nil, err
	}
	return &relay.LinkKey{Sandbox: sandboxID, Name: link}, nil
}

func toNetworks(in []*vmhelperv1.RelayNetwork) ([]relay.Network, error) {
	if len(in) > maxEntries {
		return nil, invalid("%d networks are more than %d", len(in), maxEntries)
	}
	seen, out := once{}, make([]relay.Network, 0, len(in))
	for _, n := range in {
		if err := firstOf(checkID("network", n.GetId()), seen.see("network", n.GetId())); err != nil {
			return nil, err
		}
		if len(n.GetSubnets()) > maxSubnets {
			return nil, invalid("a network has %d subnets", len(n.GetSubnets()))
		}
		r := relay.Network{ID: n.GetId(), Generation: n.GetGeneration(), Isolated: n.GetIsolated(), Inspected: n.GetInspected()}
		for _, s := range n.GetSubnets() {
			p, err := toPrefix(s)
			if err != nil {
				return nil, err
			}
			r.Subnets = append(r.Subnets, p.Masked())
		}
		out = append(out, r)
	}
	return out, nil
}

func toEndpoints(in []*vmhelperv1.RelayEndpoint) ([]relay.Endpoint, error) {
	if len(in) > maxEntries {
		return nil, invalid("%d endpoints are more than %d", len(in), maxEntries)
	}
	seen, out := once{}, make([]relay.Endpoint, 0, len(in))
	for _, e := range in {
		r, err := toEndpoint(e)
		if err == nil {
			err = seen.see("endpoint", e.GetId())
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func toEndpoint(e *vmhelperv1.RelayEndpoint) (r relay.Endpoint, err error) {
	if err := firstOf(checkID("endpoint", e.GetId()), checkID("network", e.GetNetworkId())); err != nil {
		return r, err
	}
	key, err := toKey(e.GetSandboxId(), e.GetLink())
	if err != nil {
		return r, err
	}
	switch {
	case e.GetTag() > maxVLAN || e.GetOvsTag() > maxVLAN:
		return r, invalid("a tag of endpoint %s is above %d", e.GetId(), maxVLAN)
	case len(e.GetMac()) != 6 || e.GetMac()[0]&1 != 0 || slices.Max(e.GetMac()) == 0:
		return r, invalid("the address of endpoint %s is not that of one interface", e.GetId())
	case len(e.GetAddresses()) > maxAddresses:
		return r, invalid("endpoint %s has %d addresses", e.GetId(), len(e.GetAddresses()))
	}
	r = relay.Endpoint{
		ID: e.GetId(), Generation: e.GetGeneration(), Network: e.GetNetworkId(), Link: *key, Tag: uint16(e.GetTag()), OVSTag: uint16(e.GetOvsTag()),
		MAC: [6]byte(e.GetMac()), Gateway: e.GetGateway(), AnySource: e.GetAnySource(),
	}
	for _, s := range e.GetAddresses() {
		a, err := toAddr(s)
		if err == nil && (a.IsUnspecified() || a.IsMulticast() || a.IsLoopback()) {
			err = invalid("%s is no address of an endpoint", a)
		}
		if err != nil {
			return r, err
		}
		r.Addresses = append(r.Addresses, a)
	}
	return r, nil
}

// toAddr reads an IP address: no zone, and an IPv4 address in its own form.
func toAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return a, invalid("%.80q is no IP address", s)
	}
	return a.Unmap(), nil
}

func toPrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, invalid("%.80q is no subnet", s)
	}
	return p, nil
}

func toUplink(req *vmhelperv1.SetUplinkRequest) (*uplink.Settings, error) {
	if req.GetSandboxId() == "" {
		return nil, nil
	}
	key, err := toKey(req.GetSandboxId(), req.GetLink())
	if err != nil {
		return nil, err
	}
	s := &uplink.Settings{Link: *key, MTU: req.GetMtu()}
	for _, f := range []struct {
		text     string
		optional bool
		to       *netip.Addr
	}{
		{req.GetAddress(), false, &s.Address}, {req.GetAddress6(), true, &s.Address6},
		{req.GetDnsAddress(), true, &s.DNS}, {req.GetHostAddress(), true, &s.Host},
	} {
		if f.text == "" && f.optional {
			continue
		}
		if *f.to, err = toAddr(f.text); err != nil {
			return nil, err
		}
	}
	if s.Helper, err = toPrefix(req.GetHelperAddress()); err != nil {
		return nil, err
	}
	if req.GetHelperAddress6() != "" {
		if s.Helper6, err = toPrefix(req.GetHelperAddress6()); err != nil {
			return nil, err
		}
	}
	if len(req.GetDenied()) > maxDenied || len(req.GetResolvers()) > maxResolvers {
		return nil, invalid("more than %d denied addresses or %d resolvers", maxDenied, maxResolvers)
	}
	for _, d := range req.GetDenied() {
		a, err := netip.ParseAddrPort(d)
		if err != nil || a.Addr().Zone() != "" {
			return nil, invalid("%.80q is no address with a port", d)
		}
		s.Denied = append(s.Denied, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	for _, r := range req.GetResolvers() {
		a, err := toAddr(r)
		if err != nil {
			return nil, err
		}
		s.Resolvers = append(s.Resolvers, a)
	}
	return s, s.Check()
}

func checkPortID(id string) error {
	if !within(id, lower+"-", maxPortID) {
		return invalid("the ID of a published port must be 1 to %d of a-z, 0-9 and -, and is %.160q", maxPortID, id)
	}
	return nil
}

var protocols = map[vmhelperv1.Protocol]publish.Protocol{vmhelperv1.Protocol_TCP: publish.TCP, vmhelperv1.Protocol_UDP: publish.UDP}

func toPort(p *vmhelperv1.PublishedPort) (out publish.Port, err error) {
	if err := firstOf(checkPortID(p.GetId()), checkID("endpoint", p.GetEndpointId())); err != nil {
		return out, err
	}
	protocol, ok := protocols[p.GetProtocol()]
	first, last := p.GetHostPort(), p.GetHostPortLast()
	switch {
	case !ok:
		return out, invalid("a port of protocol %d cannot be published", p.GetProtocol())
	case p.GetContainerPort() < 1 || p.GetContainerPort() > maxPort:
		return out, invalid("an endpoint has no port %d", p.GetContainerPort())
	case first > maxPort || last > maxPort || last != 0 && (last < first || first == 0):
		return out, invalid("the host has no ports from %d to %d", first, last)
	case len(p.GetHostIps()) < 1 || len(p.GetHostIps()) > maxHostIPs:
		return out, invalid("a port is published on 1 to %d addresses, not on %d", maxHostIPs, len(p.GetHostIps()))
	case len(p.GetRules()) > maxRules:
		return out, invalid("%d rules are more than %d", len(p.GetRules()), maxRules)
	}
	out = publish.Port{
		ID: p.GetId(), Endpoint: p.GetEndpointId(), Protocol: protocol, First: uint16(first), Last: uint16(last), Inside: uint16(p.GetContainerPort()),
	}
	for _, s := range p.GetHostIps() {
		a, err := toAddr(s)
		if err == nil && (a.IsMulticast() || slices.Contains(out.HostIPs, a)) {
			err = invalid("a port cannot be published on %s", a)
		}
		if err != nil {
			return out, err
		}
		out.HostIPs = append(out.HostIPs, a)
	}
	for _, r := range p.GetRules() {
		source, err := toPrefix(r.GetSource())
		if err != nil {
			return out, err
		}
		out.Rules = append(out.Rules, publish.Rule{Source: source.Masked(), Allow: r.GetAllow()})
	}
	return out, nil
}

// fromPort tells of a published port. Its range is the number that was chosen.
func fromPort(p publish.Port) *vmhelperv1.PublishedPort {
	out := &vmhelperv1.PublishedPort{Id: p.ID, EndpointId: p.Endpoint, Protocol: vmhelperv1.Protocol_TCP, HostPort: uint32(p.Host), ContainerPort: uint32(p.Inside)}
	if p.Protocol == publish.UDP {
		out.Protocol = vmhelperv1.Protocol_UDP
	}
	for _, a := range p.HostIPs {
		out.HostIps = append(out.HostIps, a.String())
	}
	for _, r := range p.Rules {
		out.Rules = append(out.Rules, &vmhelperv1.SourceRule{Source: r.Source.String(), Allow: r.Allow})
	}
	return out
}
