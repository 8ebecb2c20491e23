package plan

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"

	"github.com/containerd/errdefs"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// Bounds of what one message may hold.
const (
	maxSubnets   = 64
	maxRules     = 1024
	maxPrefixes  = 256
	maxAddresses = 64
	maxTag       = 4094
	maxMTU       = 65535
	minMTU       = 68
)

var (
	idFormat        = regexp.MustCompile(`^[0-9a-f]{64}$`)
	interfaceFormat = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}

// ParseID checks an ID.
func ParseID(s string) (ID, error) {
	if !idFormat.MatchString(s) {
		return "", invalid("the ID %.80q is not 64 hexadecimal digits", s)
	}
	return ID(s), nil
}

// ParseIDs checks a list of IDs.
func ParseIDs(list []string) ([]ID, error) {
	ids := make([]ID, 0, len(list))
	for _, s := range list {
		id, err := ParseID(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseLink(what, s string) (string, error) {
	if !interfaceFormat.MatchString(s) {
		return "", invalid("the %s %.80q is no name of an interface", what, s)
	}
	return s, nil
}

func parseMTU(n uint32) (int, error) {
	if n != 0 && (n < minMTU || n > maxMTU) {
		return 0, invalid("the MTU %d is not between %d and %d", n, minMTU, maxMTU)
	}
	return int(n), nil
}

func parseMAC(b []byte) (net.HardwareAddr, error) {
	if len(b) != 6 || b[0]&1 != 0 {
		return nil, invalid("the MAC address % x is not one of a single interface", b[:min(len(b), 16)])
	}
	return net.HardwareAddr(append([]byte(nil), b...)), nil
}

// parseTag takes a tag, 0 only where that means none.
func parseTag(n uint32, none bool) (int, error) {
	if n > maxTag || n == 0 && !none {
		return 0, invalid("the VLAN %d is not between 1 and %d", n, maxTag)
	}
	return int(n), nil
}

// parseAddr takes an address; an empty string is none.
func parseAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, invalid("%.80q is no address", s)
	}
	return a, nil
}

// parsePrefix takes a CIDR; an empty string is none. The host part is kept.
func parsePrefix(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, invalid("%.80q is no CIDR", s)
	}
	return p, nil
}

func parsePrefixes(list []string) ([]netip.Prefix, error) {
	if len(list) > maxPrefixes {
		return nil, invalid("a rule has %d address ranges, more than %d", len(list), maxPrefixes)
	}
	var prefixes []netip.Prefix
	for _, s := range list {
		p, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		if !p.IsValid() {
			return nil, invalid("an address range of a rule is empty")
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

// ParseNetwork checks a network.
func ParseNetwork(m *networkv1.Network) (n Network, err error) {
	if n.ID, err = ParseID(m.GetId()); err != nil {
		return n, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("network %s: %w", n.ID.Short(), err)
		}
	}()
	n.Internal, n.Isolated, n.Masquerade = m.GetInternal(), m.GetIsolated(), m.GetMasquerade()
	if n.MTU, err = parseMTU(m.GetMtu()); err != nil {
		return n, err
	}
	if len(m.GetSubnets()) > maxSubnets {
		return n, invalid("it has %d subnets, more than %d", len(m.GetSubnets()), maxSubnets)
	}
	for _, s := range m.GetSubnets() {
		subnet, err := parseSubnet(s)
		if err != nil {
			return n, err
		}
		n.Subnets = append(n.Subnets, subnet)
	}
	if g := m.GetGateway(); g != nil {
		if n.Gateway, err = parseGateway(g); err != nil {
			return n, err
		}
	}
	if len(m.GetRules()) > maxRules {
		return n, invalid("it has %d rules, more than %d", len(m.GetRules()), maxRules)
	}
	for i, r := range m.GetRules() {
		rule, err := parseRule(r)
		if err != nil {
			return n, fmt.Errorf("rule %d: %w", i+1, err)
		}
		n.Rules = append(n.Rules, rule)
	}
	return n, nil
}

func parseSubnet(m *networkv1.Subnet) (s Subnet, err error) {
	if s.Prefix, err = parsePrefix(m.GetCidr()); err != nil {
		return s, err
	}
	if !s.Prefix.IsValid() {
		return s, invalid("a subnet is empty")
	}
	s.Prefix = s.Prefix.Masked()
	if s.Gateway, err = parseAddr(m.GetGateway()); err != nil {
		return s, err
	}
	if s.Gateway.IsValid() && !s.Prefix.Contains(s.Gateway) {
		return s, invalid("the gateway %s is outside of the subnet %s", s.Gateway, s.Prefix)
	}
	return s, nil
}

func parseGateway(m *networkv1.Gateway) (*Gateway, error) {
	g := &Gateway{}
	var err error
	if g.Link, err = parseLink("gateway's link", m.GetLink()); err != nil {
		return nil, err
	}
	if g.Tag, err = parseTag(m.GetTag(), true); err != nil {
		return nil, err
	}
	if g.MAC, err = parseMAC(m.GetMac()); err != nil {
		return nil, err
	}
	if g.OVSTag, err = parseTag(m.GetOvsTag(), false); err != nil {
		return nil, err
	}
	g.EndpointID, err = ParseID(m.GetEndpointId())
	return g, err
}

func parseRule(m *networkv1.Rule) (r Rule, err error) {
	const nameLimit = 256
	if r.Name = m.GetName(); len(r.Name) > nameLimit {
		return r, invalid("its name has more than %d characters", nameLimit)
	}
	r.Allow = m.GetAllow()
	switch m.GetDirection() {
	case networkv1.Rule_ANY:
		r.Direction = Any
	case networkv1.Rule_BETWEEN:
		r.Direction = Between
	case networkv1.Rule_OUT:
		r.Direction = Out
	case networkv1.Rule_IN:
		r.Direction = In
	default:
		return r, invalid("its direction %d is unknown", m.GetDirection())
	}
	switch r.Protocol = m.GetProtocol(); r.Protocol {
	case "", "tcp", "udp", "icmp":
	default:
		return r, invalid("its protocol %.20q is none of tcp, udp, icmp", r.Protocol)
	}
	if r.Sources, err = parsePrefixes(m.GetSources()); err != nil {
		return r, err
	}
	if r.Destinations, err = parsePrefixes(m.GetDestinations()); err != nil {
		return r, err
	}
	first, last := m.GetPortFirst(), m.GetPortLast()
	if last == 0 {
		last = first
	}
	if first > 65535 || last > 65535 || last < first || first == 0 && last != 0 {
		return r, invalid("its ports %d to %d are no range", first, last)
	}
	if first != 0 && r.Protocol == "icmp" {
		return r, invalid("it names ports, which icmp has not")
	}
	r.PortFirst, r.PortLast = uint16(first), uint16(last)
	return r, nil
}

// ParseEndpoint checks an endpoint.
func ParseEndpoint(m *networkv1.Endpoint) (e Endpoint, err error) {
	if e.ID, err = ParseID(m.GetId()); err != nil {
		return e, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("endpoint %s: %w", e.ID.Short(), err)
		}
	}()
	if e.Network, err = ParseID(m.GetNetworkId()); err != nil {
		return e, err
	}
	if e.MAC, err = parseMAC(m.GetMac()); err != nil {
		return e, err
	}
	if e.OVSTag, err = parseTag(m.GetOvsTag(), false); err != nil {
		return e, err
	}
	if len(m.GetAddresses()) > maxAddresses {
		return e, invalid("it has %d addresses, more than %d", len(m.GetAddresses()), maxAddresses)
	}
	for _, s := range m.GetAddresses() {
		a, err := parseAddr(s)
		if err != nil {
			return e, err
		}
		if !a.IsValid() {
			return e, invalid("an address is empty")
		}
		e.Addresses = append(e.Addresses, a)
	}
	e.Generation, e.AnySource = m.GetGeneration(), m.GetAnySource()
	return e, nil
}

func parseUplink(m *networkv1.Uplink) (u Uplink, err error) {
	if m.GetLink() == "" {
		return u, nil
	}
	if u.Link, err = parseLink("uplink", m.GetLink()); err != nil {
		return u, err
	}
	for _, p := range []struct {
		to   *netip.Prefix
		text string
		is4  bool
	}{{&u.Address, m.GetAddress(), true}, {&u.Address6, m.GetAddress6(), false}} {
		if *p.to, err = parsePrefix(p.text); err != nil {
			return u, err
		}
		if p.to.IsValid() && p.to.Addr().Is4() != p.is4 {
			return u, invalid("the uplink's address %s is of the wrong family", p.text)
		}
	}
	for _, a := range []struct {
		to   *netip.Addr
		text string
	}{{&u.NextHop, m.GetNextHop()}, {&u.NextHop6, m.GetNextHop6()}, {&u.DNS, m.GetDnsAddress()}, {&u.Host, m.GetHostAddress()}} {
		if *a.to, err = parseAddr(a.text); err != nil {
			return u, err
		}
	}
	u.MTU, err = parseMTU(m.GetMtu())
	u.ReachableNetworks = m.GetReachableNetworks()
	return u, err
}

// ParseState checks a state. Endpoints must be of its networks.
func ParseState(m *networkv1.State) (s State, err error) {
	s = State{Networks: map[ID]Network{}, Endpoints: map[ID]Endpoint{}}
	if s.Uplink, err = parseUplink(m.GetUplink()); err != nil {
		return s, err
	}
	if m.GetOvsLink() != "" {
		if s.OVSLink, err = parseLink("ovs link", m.GetOvsLink()); err != nil {
			return s, err
		}
	}
	if m.GetGatewayTrunk() != "" {
		if s.GatewayTrunk, err = parseLink("gateways' trunk", m.GetGatewayTrunk()); err != nil {
			return s, err
		}
	}
	for _, n := range m.GetNetworks() {
		network, err := ParseNetwork(n)
		if err != nil {
			return s, err
		}
		s.Networks[network.ID] = network
	}
	for _, e := range m.GetEndpoints() {
		endpoint, err := ParseEndpoint(e)
		if err != nil {
			return s, err
		}
		if _, ok := s.Networks[endpoint.Network]; !ok {
			return s, fmt.Errorf("endpoint %s: there is no network %s: %w", endpoint.ID.Short(), endpoint.Network.Short(), errdefs.ErrNotFound)
		}
		s.Endpoints[endpoint.ID] = endpoint
	}
	return s, nil
}
