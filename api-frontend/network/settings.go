package network

import (
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/network/ipam"
)

// Settings is what daemon.json says of networks.
type Settings struct {
	Pools   []ipam.Pool                  // default-address-pools; none: dockerd's.
	Options map[string]map[string]string // default-network-opts, by driver.
	Bridge  Bridge
}

// Bridge is what daemon.json says of the default network.
type Bridge struct {
	Address      netip.Prefix // bip: the gateway's address and the subnet; invalid: chosen.
	Address6     netip.Prefix // bip6.
	Range        netip.Prefix // fixed-cidr.
	Range6       netip.Prefix // fixed-cidr-v6.
	IPv6         bool
	Isolated     bool       // icc: false.
	NoMasquerade bool       // ip-masq: false.
	Binding      netip.Addr // ip.
	MTU          int
}
