package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
)

// predefine makes the predefined networks, with IDs that follow from the engine's.
func (s *Service) predefine() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var changes []change
	for _, p := range []struct{ name, driver string }{{network.NetworkHost, "host"}, {network.NetworkNone, "null"}} {
		n := &desired.Network{
			ID: s.predefinedID(p.name), Name: p.name, Created: s.cfg.Created, Driver: p.driver, EnableIPv4: true, Predefined: true,
			IPAM: network.IPAM{Driver: "default"}, Generation: s.generation(),
		}
		if s.network(n.ID) == nil {
			changes = append(changes, putNetwork(n))
		}
	}
	bridge, err := s.bridge()
	if err != nil {
		return err
	}
	changes = append(changes, bridge...)
	if len(changes) == 0 {
		return nil
	}
	return s.commit(changes...)
}

func (s *Service) predefinedID(name string) string { return hash(s.cfg.EngineID, name) }

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func (s *Service) network(id string) *desired.Network {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.networks[id]
}

// bridge tells what has to change so that the default network is as daemon.json wants it. Its subnet and its gateway stay
// what they were, as long as nothing speaks against them.
func (s *Service) bridge() ([]change, error) {
	cfg, id := s.cfg.Settings.Bridge, s.predefinedID(network.NetworkBridge)
	old := s.network(id)
	if old != nil && s.used(id) {
		return nil, nil // Containers run in it: it is changed at the first start at which none does.
	}
	n := &desired.Network{
		ID: id, Name: network.NetworkBridge, Created: s.cfg.Created, Driver: "bridge", Predefined: true,
		EnableIPv4: true, EnableIPv6: cfg.IPv6, Options: s.bridgeOptions(), IPAM: network.IPAM{Driver: "default"},
	}
	if err := applyOptions(n); err != nil {
		return nil, err
	}
	wanted := []network.IPAMConfig{configOf(cfg.Address, cfg.Range)}
	if cfg.IPv6 {
		wanted = append(wanted, configOf(cfg.Address6, cfg.Range6))
	}
	taken := s.taken()
	if old != nil {
		for i := range wanted {
			keep(&wanted[i], old.Pool(i == 1), s.fabric.ReservedSubnets())
		}
		taken = slices.DeleteFunc(taken, func(p netip.Prefix) bool {
			return slices.ContainsFunc(old.Pools, func(q desired.Pool) bool { return q.Subnet == p })
		})
	}
	for i, c := range wanted {
		pool, err := s.allocate(c, i == 1, taken, true)
		if err != nil {
			return nil, err
		}
		pool.Static = false
		n.Pools = append(n.Pools, pool)
		n.IPAM.Config = append(n.IPAM.Config, network.IPAMConfig{Subnet: pool.Subnet, IPRange: pool.Range, Gateway: pool.Gateway})
	}
	if old != nil && old.Gateway != nil {
		n.Gateway, n.Generation = old.Gateway, old.Generation
		if cmp.Equal(old, n, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
			return nil, nil
		}
		n.Generation = s.generation()
		return []change{putNetwork(n)}, nil
	}
	return []change{putNetwork(n)}, s.giveGateway(n)
}

// configOf reads an address with its subnet, as bip gives it, and the range of dynamic addresses.
func configOf(address, within netip.Prefix) network.IPAMConfig {
	c := network.IPAMConfig{IPRange: within.Masked()}
	switch {
	case address.IsValid():
		c.Subnet, c.Gateway = address.Masked(), address.Addr()
	case within.IsValid():
		c.Subnet = within.Masked()
	}
	return c
}

// keep lets a subnet that was chosen stay, unless the host has taken it since.
func keep(c *network.IPAMConfig, old *desired.Pool, reserved []netip.Prefix) {
	if c.Subnet.IsValid() || old == nil || ipam.Overlaps(old.Subnet, reserved) {
		return
	}
	c.Subnet, c.Gateway = old.Subnet, old.Gateway
}

func (s *Service) bridgeOptions() map[string]string {
	cfg := s.cfg.Settings.Bridge
	options := map[string]string{
		optionBridgeName: "docker0", optionDefaultBridge: "true",
		optionMasquerade: "true", optionICC: strconv.FormatBool(!cfg.Isolated),
	}
	if cfg.MTU > 0 {
		options[optionMTU] = strconv.Itoa(cfg.MTU)
	}
	if cfg.Binding.IsValid() {
		options[optionBinding] = cfg.Binding.String()
	} else {
		options[optionBinding] = "0.0.0.0"
	}
	return options
}

// used tells whether an endpoint is in the network.
func (s *Service) used(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.runs {
		for _, ep := range r.Endpoints {
			if ep.NetworkID == id {
				return true
			}
		}
	}
	return false
}

// ID is the ID of a network with this name; of another name it is empty.
func (s *Service) ID(name string) string {
	n, err := s.find(name)
	if err != nil || n.Name != name {
		return ""
	}
	return n.ID
}

// predefined says whether a network of this name cannot be made.
func predefined(name string) bool {
	return slices.Contains([]string{network.NetworkDefault, network.NetworkBridge, network.NetworkHost, network.NetworkNone}, name)
}

// apply tells the fabric of a network.
func (s *Service) apply(ctx context.Context, n *desired.Network) error {
	if !n.Plain() {
		return nil
	}
	return s.fabric.ApplyNetwork(ctx, n)
}
