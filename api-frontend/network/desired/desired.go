package desired

import (
	"net/netip"
	"slices"
	"time"

	"github.com/moby/moby/api/types/network"
)

// State is everything, as of one moment.
type State struct {
	Networks  []*Network
	Endpoints []*Endpoint
}

// InspectedMTU is the MTU of a network whose policy looks at what endpoints send each other, unless it names one: such
// frames go through OVS, where larger ones were not tried.
const InspectedMTU = 1500

// Network is one committed network. It is never changed in place.
type Network struct {
	ID      string    `json:"id"` // 64 hexadecimal digits.
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Driver  string    `json:"driver"` // bridge, host or null.

	EnableIPv4 bool              `json:"enableIPv4"`
	EnableIPv6 bool              `json:"enableIPv6,omitempty"`
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"`
	IPAM       network.IPAM      `json:"ipam"` // as given and completed: what inspect shows.
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Predefined bool              `json:"predefined,omitempty"` // bridge, host, none.
	ConfigOnly bool              `json:"configOnly,omitempty"` // it is a template for others: nothing is made of it.
	ConfigFrom string            `json:"configFrom,omitempty"` // the name of the template that it was made from.

	// What follows is derived when the network is made.

	Generation uint64       `json:"generation"`
	Pools      []Pool       `json:"pools,omitempty"`
	MTU        uint32       `json:"mtu,omitempty"` // 0: the driver's default.
	Isolated   bool         `json:"isolated,omitempty"`
	Masquerade bool         `json:"masquerade,omitempty"`
	Binding    []netip.Addr `json:"binding,omitempty"` // where ports are published that name no address; none: 0.0.0.0 and ::.
	Rules      []Rule       `json:"rules,omitempty"`
	Gateway    *Gateway     `json:"gateway,omitempty"` // nil: host and null, and networks that are told to have none.
	Prefix     string       `json:"prefix,omitempty"`  // of the names of interfaces in containers; empty: eth.
	AnySource  bool         `json:"anySource,omitempty"`
}

// Plain tells whether the network is a switch with endpoints: neither host nor null, and no template.
func (n *Network) Plain() bool { return n.Driver == "bridge" && !n.ConfigOnly }

// Resolves tells whether names are answered in the network: in user-defined ones.
func (n *Network) Resolves() bool { return n.Plain() && !n.Predefined }

// Inspected tells whether a rule is about frames between endpoints, so that the relay has to show them to OVN.
func (n *Network) Inspected() bool {
	return slices.ContainsFunc(n.Rules, func(r Rule) bool { return r.Direction == "" || r.Direction == "between" })
}

// GatewayAddress is the gateway's address of a family; invalid: the network has none.
func (n *Network) GatewayAddress(v6 bool) netip.Addr {
	if p := n.Pool(v6); p != nil {
		return p.Gateway
	}
	return netip.Addr{}
}

// Pool is the network's subnet of a family, or nil.
func (n *Network) Pool(v6 bool) *Pool {
	for i := range n.Pools {
		if n.Pools[i].Subnet.Addr().Is6() == v6 {
			return &n.Pools[i]
		}
	}
	return nil
}

// Pool is one subnet of a network.
type Pool struct {
	Subnet  netip.Prefix          `json:"subnet"`
	Range   netip.Prefix          `json:"range,omitzero"` // where dynamic addresses come from; invalid: all of the subnet.
	Gateway netip.Addr            `json:"gateway,omitzero"`
	Static  bool                  `json:"static,omitempty"` // the subnet was given: containers may choose their addresses.
	Aux     map[string]netip.Addr `json:"aux,omitempty"`
}

// Gateway is the endpoint of a network in the helper.
type Gateway struct {
	EndpointID string `json:"endpointID"`
	Link       string `json:"link"` // name of its link in the helper's sandbox, where links carry no tags.
	MAC        []byte `json:"mac"`
	Tag        uint16 `json:"tag"`    // on the gateways' trunk, where links carry tags. Unique in the instance.
	OVSTag     uint16 `json:"ovsTag"` // on the ovs link. Unique in the instance among gateways and endpoints.
}

// The names of trunks, where links carry tags: a sandbox has one, the helper one for gateways.
const (
	Trunk        = "net"
	GatewayTrunk = "gw"
)

// Rule is one line of a network's policy (the option com.arca.policy.NAME), in order of priority.
type Rule struct {
	Name         string         `json:"name"`
	Allow        bool           `json:"allow"`
	Direction    string         `json:"direction,omitempty"` // between, out, in; empty: any.
	Protocol     string         `json:"protocol,omitempty"`  // tcp, udp, icmp; empty: any.
	Sources      []netip.Prefix `json:"sources,omitempty"`
	Destinations []netip.Prefix `json:"destinations,omitempty"`
	PortFirst    uint16         `json:"portFirst,omitempty"`
	PortLast     uint16         `json:"portLast,omitempty"`
}

// Endpoint is a container's committed place in a network, from the start of a run (or a live connect) to its end.
type Endpoint struct {
	ID          string `json:"id"` // 64 hexadecimal digits, of this run.
	NetworkID   string `json:"networkID"`
	ContainerID string `json:"containerID"`
	SandboxID   string `json:"sandboxID"` // whose link it is.
	Generation  uint64 `json:"generation"`

	Link   string         `json:"link"` // name of its link in the sandbox, at most 15 characters, unique there.
	Tag    uint16         `json:"tag"`  // on the sandbox's trunk, where links carry tags; unique in the sandbox.
	OVSTag uint16         `json:"ovsTag"`
	MAC    []byte         `json:"mac"`
	IPv4   netip.Prefix   `json:"ipv4,omitzero"`
	IPv6   netip.Prefix   `json:"ipv6,omitzero"`
	More   []netip.Prefix `json:"more,omitempty"` // link-local addresses that were asked for.

	Interface  string   `json:"interface"` // eth0.
	GwPriority int      `json:"gwPriority,omitempty"`
	Default4   bool     `json:"default4,omitempty"` // the default route of the container goes by this endpoint.
	Default6   bool     `json:"default6,omitempty"`
	AnySource  bool     `json:"anySource,omitempty"` // NET_ADMIN, or the network says so.
	Sysctls    []string `json:"sysctls,omitempty"`   // from the endpoint's driver options; IFNAME stands for the interface.
	Names      []string `json:"names,omitempty"`     // that resolve to it within its network: container, aliases, short ID, hostname.
	Ports      []Port   `json:"ports,omitempty"`     // published by this endpoint.
}

// Port is a published port. HostPort is the one that vmhelper chose, once Open has returned.
type Port struct {
	ID            string       `json:"id"`
	Protocol      string       `json:"protocol"` // tcp or udp.
	ContainerPort uint16       `json:"containerPort"`
	HostIPs       []netip.Addr `json:"hostIPs"`
	First         uint16       `json:"first,omitempty"` // 0: any free one.
	Last          uint16       `json:"last,omitempty"`
	HostPort      uint16       `json:"hostPort,omitempty"`
}

// Membership is what one run of a container has of networks. Endpoints are in the order of their interfaces.
type Membership struct {
	ContainerID string
	Endpoints   []*Endpoint
	Networks    map[string]*Network // of the endpoints, by ID.
	// Upstreams are the DNS servers that the agent forwards to, reached from the container, "IP:PORT".
	Upstreams []string
	// Resolver tells whether 127.0.0.11 answers: in user-defined networks, not on the default bridge alone.
	Resolver  bool
	NoForward bool // it is in internal networks alone.
	// HostAddress is what host.docker.internal and host-gateway stand for; invalid: nothing.
	HostAddress netip.Addr
}
