package network

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/network/desired"
)

// wish is a network that a container shall be in, and how.
type wish struct {
	network  *desired.Network
	settings *network.EndpointSettings // never nil.
}

// plan makes one endpoint of a container, beside those that it has.
func (s *Service) plan(u *usage, rec *record.Container, w wish, others []*desired.Endpoint) (*desired.Endpoint, error) {
	n := w.network
	if n.ConfigOnly {
		return nil, forbidden("cannot create endpoint on configuration-only network")
	}
	ep := &desired.Endpoint{
		ID: newID(), NetworkID: n.ID, ContainerID: rec.ID, SandboxID: rec.SandboxID(), Generation: s.generation(),
		GwPriority: w.settings.GwPriority, Names: names(rec, n, w.settings),
	}
	if !n.Plain() {
		return ep, nil // host and none: there is nothing to make.
	}
	var err error
	if ep.OVSTag, err = u.tag(); err != nil {
		return nil, err
	}
	ep.Link = "e" + ep.ID[:11]
	if s.fabric.LinkTrunk() {
		ep.Link, ep.Tag = desired.Trunk, ep.OVSTag
	}
	if err := addresses(u, ep, rec, w); err != nil {
		return nil, err
	}
	if ep.MAC, err = u.mac(n.ID, net.HardwareAddr(w.settings.MacAddress), ep.IPv4.Addr(), ep.IPv6.Addr()); err != nil {
		return nil, err
	}
	if text := w.settings.DriverOpts[optionSysctls]; text != "" {
		ep.Sysctls = strings.Split(strings.ReplaceAll(text, ".ifname.", ".IFNAME."), ",")
	}
	ep.Interface, err = interfaceName(n, w.settings, others)
	ep.AnySource = n.AnySource || administers(rec)
	return ep, err
}

func addresses(u *usage, ep *desired.Endpoint, rec *record.Container, w wish) (err error) {
	var asked network.EndpointIPAMConfig
	if w.settings.IPAMConfig != nil {
		asked = *w.settings.IPAMConfig
	}
	if w.network.EnableIPv4 {
		if ep.IPv4, err = address(u, w.network, asked.IPv4Address, false); err != nil {
			return err
		}
	}
	if w.network.EnableIPv6 && rec.HostConfig.Sysctls["net.ipv6.conf.all.disable_ipv6"] != "1" {
		if ep.IPv6, err = address(u, w.network, asked.IPv6Address, true); err != nil {
			return err
		}
	}
	for _, a := range asked.LinkLocalIPs {
		if a = a.Unmap(); !a.IsLinkLocalUnicast() {
			return invalid("invalid link local IP address: %v", a)
		}
		bits := 16
		if a.Is6() {
			bits = 64
		}
		ep.More = append(ep.More, netip.PrefixFrom(a, bits))
	}
	return nil
}

func address(u *usage, n *desired.Network, asked netip.Addr, v6 bool) (netip.Prefix, error) {
	pool, set := n.Pool(v6), u.addresses(n, v6)
	if asked = asked.Unmap(); asked.IsValid() {
		if !pool.Subnet.Contains(asked) {
			return netip.Prefix{}, invalid("invalid address %s: It does not belong to any of this network's subnets", asked)
		}
		if err := set.Take(asked); err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(asked, pool.Subnet.Bits()), nil
	}
	a, err := set.Any(pool.Range)
	if err != nil {
		version := 4
		if v6 {
			version = 6
		}
		return netip.Prefix{}, internal("no available IPv%d addresses on this network's address pools: %s (%s)", version, n.Name, n.ID)
	}
	return netip.PrefixFrom(a, pool.Subnet.Bits()), nil
}

// names are those that resolve to an endpoint within its network; the first is what its addresses point to.
func names(rec *record.Container, n *desired.Network, settings *network.EndpointSettings) []string {
	all := []string{rec.Name}
	if n.Resolves() {
		all = append(all, settings.Aliases...)
		all = append(all, rec.ShortID(), rec.Config.Hostname)
	}
	var out []string
	for _, name := range all {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// interfaceName is the name in the container: the one that was asked for, or the network's beginning with the lowest free
// number.
func interfaceName(n *desired.Network, settings *network.EndpointSettings, others []*desired.Endpoint) (string, error) {
	taken := func(name string) bool {
		return slices.ContainsFunc(others, func(ep *desired.Endpoint) bool { return ep.Interface == name })
	}
	if name := settings.DriverOpts[optionInterface]; name != "" {
		if taken(name) {
			return "", conflict("interface %s is already in use in the container", name)
		}
		return name, nil
	}
	prefix := n.Prefix
	if prefix == "" {
		prefix = "eth"
	}
	for i := 0; ; i++ {
		if name := prefix + strconv.Itoa(i); !taken(name) {
			return name, nil
		}
	}
}

// administers tells whether a container may change its own addresses.
func administers(rec *record.Container) bool {
	if rec.HostConfig.Privileged {
		return true
	}
	for _, c := range rec.HostConfig.CapAdd {
		switch strings.TrimPrefix(strings.ToUpper(c), "CAP_") {
		case "ALL", "NET_ADMIN":
			return true
		}
	}
	return false
}

// arrange gives the default routes and the published ports to those endpoints that have them. Endpoints that change are
// replaced by changed copies. Ports that were open already keep their numbers.
func (s *Service) arrange(eps []*desired.Endpoint, networks map[string]*desired.Network, rec *record.Container) ([]*desired.Endpoint, error) {
	four, six := gateways(linked(eps), networks)
	publisher := four
	if publisher == nil {
		publisher = six
	}
	var open []desired.Port
	for _, ep := range eps {
		open = append(open, ep.Ports...)
	}
	out := slices.Clone(eps)
	for i, ep := range out {
		next := *ep
		next.Default4, next.Default6 = ep == four, ep == six
		switch {
		case ep != publisher:
			next.Ports = nil
		case len(ep.Ports) == 0:
			ports, err := s.ports(rec, ep, networks[ep.NetworkID], open)
			if err != nil {
				return nil, err
			}
			next.Ports = ports
		}
		if next.Default4 != ep.Default4 || next.Default6 != ep.Default6 || len(next.Ports) != len(ep.Ports) {
			next.Generation = s.generation()
			out[i] = &next
		}
	}
	return out, nil
}

// wishes are the networks of a container's record, those of its mode first, then by name.
func (s *Service) wishes(rec *record.Container) ([]wish, error) {
	mode := rec.HostConfig.NetworkMode
	if mode.IsContainer() || rec.Config.NetworkDisabled {
		return nil, nil
	}
	var out []wish
	for _, ref := range s.order(rec) {
		n, err := s.find(ref)
		if err != nil {
			return nil, err
		}
		settings := rec.Networking[ref]
		if settings == nil {
			settings = &network.EndpointSettings{}
		}
		if slices.ContainsFunc(out, func(w wish) bool { return w.network.ID == n.ID }) {
			return nil, forbidden("endpoint with name %s already exists in network %s", rec.Name, n.Name)
		}
		for _, w := range out {
			if err := compatible(w.network, n); err != nil {
				return nil, err
			}
		}
		if n.Driver == "host" && !mode.IsHost() {
			return nil, errToHost
		}
		out = append(out, wish{n, settings})
	}
	return out, nil
}

// order are the references to networks of a record, in the order of interfaces: the one of its mode first.
func (s *Service) order(rec *record.Container) []string {
	main := rec.HostConfig.NetworkMode.NetworkName()
	if mode := rec.HostConfig.NetworkMode; mode == "" || mode.IsDefault() {
		main = network.NetworkBridge
	}
	if n, err := s.find(main); err == nil && rec.Networking[main] == nil {
		main = n.Name // The mode is an ID.
	}
	if len(rec.Networking) == 0 {
		return []string{main}
	}
	return slices.SortedFunc(maps.Keys(rec.Networking), func(a, b string) int {
		if a == main || b == main {
			return compareBool(a != main, b != main)
		}
		return strings.Compare(a, b)
	})
}

// compatible has dockerd's rules of networks that a container cannot be in at once.
func compatible(a, b *desired.Network) error {
	for _, n := range []*desired.Network{a, b} {
		if n.Driver == "host" {
			return errShared
		}
		if n.Predefined && container.NetworkMode(n.Name).IsNone() {
			return errNone
		}
	}
	return nil
}
