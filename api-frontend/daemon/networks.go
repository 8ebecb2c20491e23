package daemon

import (
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
)

// networkSettings is what the configuration says of networks.
func networkSettings(cfg *config.Config) network.Settings {
	b := cfg.Bridge
	s := network.Settings{
		Options: cfg.NetworkOptions,
		Bridge: network.Bridge{
			Address: prefix(b.Address), Address6: prefix(b.Address6), Range: prefix(b.Range), Range6: prefix(b.Range6),
			IPv6: b.IPv6, Isolated: !b.ICC, MTU: b.MTU,
		},
	}
	if b.Binding != "" {
		s.Bridge.Binding = netip.MustParseAddr(b.Binding)
	}
	for _, p := range cfg.AddressPools {
		s.Pools = append(s.Pools, ipam.Pool{Base: p.Base, Size: p.Size})
	}
	return s
}

// prefix reads a text that was checked; an empty one is no prefix.
func prefix(text string) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(text)
}
