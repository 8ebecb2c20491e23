package plan

import (
	"net"
	"net/netip"
)

// ID is the identity of a network or an endpoint: 64 hexadecimal digits.
type ID string

// short are so many digits that names made of them fit the 15 characters of an interface's name.
const short = 12

// Short is the beginning of the ID, as it stands in names of interfaces and chains.
func (id ID) Short() string { return string(id[:short]) }

// State is everything.
type State struct {
	Uplink       Uplink
	Networks     map[ID]Network
	Endpoints    map[ID]Endpoint
	OVSLink      string // empty: there is none.
	GatewayTrunk string
}

// Uplink is the way out. A zero Link means that there is none.
type Uplink struct {
	Link              string
	Address, Address6 netip.Prefix
	NextHop, NextHop6 netip.Addr
	DNS               netip.Addr
	Host              netip.Addr
	MTU               int // 0: as the link has it.
	ReachableNetworks bool
}

// Network is one broadcast domain with what holds at its gateway.
type Network struct {
	ID         ID
	Subnets    []Subnet
	Internal   bool
	Isolated   bool
	Masquerade bool
	MTU        int // 0: as the link has it.
	Gateway    *Gateway
	Rules      []Rule
}

// Subnet is an address range of a network, with the gateway's address in it if it has one.
type Subnet struct {
	Prefix  netip.Prefix
	Gateway netip.Addr
}

// Gateway is the network's interface in the helper.
type Gateway struct {
	Link       string // the interface; of a VLAN, the trunk.
	Tag        int    // the VLAN; 0: none.
	MAC        net.HardwareAddr
	OVSTag     int
	EndpointID ID
}

// Interface is the name of the kernel's interface of the network's gateway; empty without one.
func (n Network) Interface() string {
	switch {
	case n.Gateway == nil:
		return ""
	case n.Gateway.Tag != 0:
		return "g" + n.ID.Short()
	default:
		return n.Gateway.Link
	}
}

// GatewayAddresses are the gateway's addresses, with the length of their subnets.
func (n Network) GatewayAddresses() []netip.Prefix {
	if n.Gateway == nil {
		return nil
	}
	var list []netip.Prefix
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() {
			list = append(list, netip.PrefixFrom(s.Gateway, s.Prefix.Bits()))
		}
	}
	return list
}

// Endpoint is a container's place in a network.
type Endpoint struct {
	ID         ID
	Network    ID
	Generation uint64
	MAC        net.HardwareAddr
	Addresses  []netip.Addr
	OVSTag     int
	AnySource  bool
}

// Direction says which traffic a rule is about.
type Direction int

// Between endpoints; out to and in from beyond the gateway; any of them.
const (
	Any Direction = iota
	Between
	Out
	In
)

// Rule is one line of policy.
type Rule struct {
	Name                  string
	Allow                 bool
	Direction             Direction
	Protocol              string // tcp, udp, icmp or empty for any.
	Sources, Destinations []netip.Prefix
	PortFirst, PortLast   uint16 // of the destination; 0: any. Without a protocol: of tcp and udp.
}

// Families says which families of addresses the rule can match: a rule that names addresses of one family alone says
// nothing of the other.
func (r Rule) Families() (v4, v6 bool) {
	v4, v6 = true, true
	for _, list := range [][]netip.Prefix{r.Sources, r.Destinations} {
		if len(list) == 0 {
			continue
		}
		has4, has6 := false, false
		for _, p := range list {
			has4 = has4 || p.Addr().Is4()
			has6 = has6 || !p.Addr().Is4()
		}
		v4, v6 = v4 && has4, v6 && has6
	}
	return v4, v6
}

// Of returns those prefixes that are of a family.
func Of(list []netip.Prefix, is4 bool) []netip.Prefix {
	var of []netip.Prefix
	for _, p := range list {
		if p.Addr().Is4() == is4 {
			of = append(of, p)
		}
	}
	return of
}
