package network

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
	"github.com/arca-engine/arca/api-frontend/network/policy"
)

// Create makes a network and returns its ID.
func (s *Service) Create(ctx context.Context, req *network.CreateRequest) (string, error) {
	if predefined(req.Name) {
		return "", forbidden("operation is not permitted on predefined %s network ", req.Name)
	}
	n, err := s.design(req)
	if err != nil {
		return "", err
	}
	if err := s.make(n); err != nil {
		return "", err
	}
	if err := s.apply(ctx, n); err != nil {
		s.writing.Lock()
		defer s.writing.Unlock()
		if undo := s.commit(dropNetwork(n.ID)); undo != nil {
			s.cfg.Log.Error("a network that could not be made stays", "network", n.ID, "error", undo)
		}
		return "", fmt.Errorf("make network %s: %w", n.Name, err)
	}
	s.tell(n, events.ActionCreate, "")
	return n.ID, nil
}

// design checks all that does not depend on other networks.
func (s *Service) design(req *network.CreateRequest) (*desired.Network, error) {
	n := &desired.Network{
		ID: newID(), Name: req.Name, Created: time.Now().UTC(), Driver: req.Driver, EnableIPv4: true, Internal: req.Internal,
		Attachable: req.Attachable, ConfigOnly: req.ConfigOnly, Options: maps.Clone(req.Options), Labels: maps.Clone(req.Labels),
		IPAM: network.IPAM{Driver: "default"}, Generation: s.generation(),
	}
	if n.Driver == "" {
		n.Driver = "bridge"
	}
	if n.Driver == "overlay" {
		return nil, forbidden(`This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`)
	}
	if err := s.families(n, req); err != nil {
		return nil, err
	}
	if err := checkIPAM(req.IPAM, n.EnableIPv6); err != nil {
		return nil, err
	}
	if req.IPAM != nil {
		n.IPAM = network.IPAM{Driver: req.IPAM.Driver, Options: req.IPAM.Options, Config: slices.Clone(req.IPAM.Config)}
		if n.IPAM.Driver == "" {
			n.IPAM.Driver = "default"
		}
	}
	if strings.TrimSpace(n.Name) == "" {
		return nil, errNoName
	}
	if req.ConfigFrom != nil {
		n.ConfigFrom = req.ConfigFrom.Network
	}
	if err := checkTemplate(n, req); err != nil || n.ConfigOnly {
		return n, err
	}
	switch n.Driver {
	case "bridge":
	case "host", "null":
		return nil, forbidden("only one instance of %q network is allowed", n.Driver)
	default:
		return nil, refusal{fmt.Sprintf("plugin %q not found", n.Driver), errdefs.ErrNotFound}
	}
	switch {
	case req.Ingress:
		return nil, forbidden("Ingress network can only be global scope network")
	case req.Scope == "swarm":
		return nil, forbidden("cannot create a swarm scoped network when swarm is not active")
	}
	return n, nil
}

// families reads which there are, and the engine's default options.
func (s *Service) families(n *desired.Network, req *network.CreateRequest) error {
	if n.Options == nil {
		n.Options = map[string]string{}
	}
	if req.ConfigFrom == nil {
		for option, value := range s.cfg.Settings.Options[n.Driver] {
			if _, ok := n.Options[option]; !ok {
				n.Options[option] = value
			}
		}
	}
	for _, f := range []struct {
		asked  *bool
		option string
		on     *bool
	}{{req.EnableIPv4, optionEnable4, &n.EnableIPv4}, {req.EnableIPv6, optionEnable6, &n.EnableIPv6}} {
		if f.asked != nil {
			*f.on = *f.asked
			delete(n.Options, f.option)
		} else if v, ok := n.Options[f.option]; ok {
			on, err := strconv.ParseBool(v)
			if err != nil {
				return invalid("driver-opt %q is not a valid bool", f.option)
			}
			*f.on = on
		}
	}
	return nil
}

// checkTemplate has dockerd's rules of config-only networks and those made from them.
func checkTemplate(n *desired.Network, req *network.CreateRequest) error {
	if n.ConfigOnly && (req.Ingress || req.Internal || req.Attachable || req.Scope != "") {
		return forbidden("configuration network can only contain network " +
			"specific fields. Network operator fields like " +
			"[ ingress | internal | attachable | scope ] are not supported.")
	}
	if n.ConfigFrom == "" {
		return nil
	}
	switch {
	case n.ConfigOnly:
		return forbidden("a configuration network cannot depend on another configuration network")
	case n.IPAM.Driver != "default" || !n.EnableIPv4 || n.EnableIPv6 || len(n.Labels) > 0 || len(n.IPAM.Options) > 0 || len(n.IPAM.Config) > 0:
		return forbidden("user specified configurations are not supported if the network depends on a configuration network")
	case len(n.Options) > 0:
		return forbidden("network driver options are not supported if the network depends on a configuration network")
	}
	return nil
}

// make gives a network what it has of the instance, and commits it.
func (s *Service) make(n *desired.Network) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for _, other := range s.all() {
		if other.Name == n.Name {
			return conflict("network with name %s already exists", n.Name)
		}
	}
	if n.ConfigOnly {
		return s.commit(putNetwork(n))
	}
	if n.ConfigFrom != "" {
		template := s.template(n.ConfigFrom)
		if template == nil {
			return refusal{fmt.Sprintf("configuration network %q does not exist", n.ConfigFrom), errdefs.ErrNotFound}
		}
		n.EnableIPv4, n.EnableIPv6, n.IPAM = template.EnableIPv4, template.EnableIPv6, template.IPAM
		n.IPAM.Config = slices.Clone(template.IPAM.Config)
		n.Options, n.Labels = maps.Clone(template.Options), maps.Clone(template.Labels)
	}
	if n.IPAM.Driver != "default" {
		return refusal{fmt.Sprintf("plugin %q not found", n.IPAM.Driver), errdefs.ErrNotFound}
	}
	if err := s.derive(n); err != nil {
		return err
	}
	if err := s.giveGateway(n); err != nil {
		return err
	}
	return s.commit(putNetwork(n))
}

func (s *Service) template(name string) *desired.Network {
	for _, n := range s.all() {
		if n.ConfigOnly && n.Name == name {
			return n
		}
	}
	return nil
}

// derive reads the options and chooses the subnets.
func (s *Service) derive(n *desired.Network) error {
	if !n.EnableIPv4 && !n.EnableIPv6 {
		return invalid("IPv4 or IPv6 must be enabled")
	}
	if err := applyOptions(n); err != nil {
		return err
	}
	if name := n.Options[optionBridgeName]; name != "" {
		for _, other := range s.all() {
			if other.Plain() && other.Options[optionBridgeName] == name {
				return forbidden("cannot create network %s (%s): conflicts with network %s (%s): networks have same bridge name", n.ID, name, other.ID, name)
			}
		}
	}
	rules, err := policy.Parse(n.Options, func(ref string) ([]netip.Prefix, bool) {
		other, err := s.find(ref)
		if err != nil || !other.Plain() {
			return nil, false
		}
		var subnets []netip.Prefix
		for _, p := range other.Pools {
			subnets = append(subnets, p.Subnet)
		}
		return subnets, true
	})
	if err != nil {
		return err
	}
	n.Rules = rules
	if n.MTU == 0 && n.Inspected() {
		n.MTU = desired.InspectedMTU
	}
	return s.choose(n)
}

// choose gives a network its subnets, and completes what inspect shows of them.
func (s *Service) choose(n *desired.Network) error {
	given := n.IPAM.Config
	n.IPAM.Config, n.Pools = nil, nil
	for _, v6 := range []bool{false, true} {
		if v6 && !n.EnableIPv6 || !v6 && !n.EnableIPv4 {
			continue
		}
		var mine []network.IPAMConfig
		for _, c := range given {
			if c.Subnet.Addr().Is6() == v6 {
				mine = append(mine, c)
			}
		}
		switch len(mine) {
		case 0:
			mine = []network.IPAMConfig{{}}
		case 1:
		default:
			return forbidden("bridge driver doesn't support multiple subnets")
		}
		pool, err := s.allocate(mine[0], v6, s.taken(), !gatewayless(n, v6))
		if err != nil {
			return err
		}
		n.Pools = append(n.Pools, pool)
		n.IPAM.Config = append(n.IPAM.Config, network.IPAMConfig{Subnet: pool.Subnet, IPRange: pool.Range, Gateway: pool.Gateway, AuxAddress: pool.Aux})
	}
	return nil
}

// allocate chooses a subnet, unless one is given, and the addresses in it that belong to no endpoint.
func (s *Service) allocate(c network.IPAMConfig, v6 bool, taken []netip.Prefix, gateway bool) (desired.Pool, error) {
	pool := desired.Pool{Subnet: c.Subnet, Static: c.Subnet.IsValid(), Range: c.IPRange, Gateway: c.Gateway, Aux: c.AuxAddress}
	if !pool.Subnet.IsValid() {
		var err error
		if pool.Subnet, err = ipam.Choose(s.pools(), v6, taken, s.fabric.ReservedSubnets()); err != nil {
			return pool, err
		}
	} else if host := s.fabric.HostAddress(); ipam.Overlaps(pool.Subnet, taken) || host.IsValid() && pool.Subnet.Contains(host) {
		return pool, ipam.ErrOverlap
	}
	set := ipam.New(pool.Subnet)
	if pool.Gateway.IsValid() {
		if err := set.Take(pool.Gateway); err != nil {
			return pool, internal("failed to allocate gateway (%v): %v", pool.Gateway, err)
		}
	} else if gateway {
		var err error
		if pool.Gateway, err = set.Any(pool.Range); err != nil {
			return pool, internal("failed to allocate gateway (): %v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pool.Aux)) {
		if err := set.Take(pool.Aux[name]); err != nil {
			return pool, internal("failed to allocate secondary ip address (%s:%s): %v", name, pool.Aux[name], err)
		}
	}
	return pool, nil
}

// giveGateway makes the gateway's endpoint of a network that has a gateway. The caller holds writing.
func (s *Service) giveGateway(n *desired.Network) error {
	if !n.GatewayAddress(false).IsValid() && !n.GatewayAddress(true).IsValid() {
		return nil
	}
	u := s.usage()
	tag, err := u.tag()
	if err != nil {
		return err
	}
	mac, err := u.mac(n.ID, nil, n.GatewayAddress(false), n.GatewayAddress(true))
	if err != nil {
		return err
	}
	n.Gateway = &desired.Gateway{EndpointID: newID(), Link: "g" + n.ID[:12], MAC: mac, OVSTag: tag}
	if s.fabric.LinkTrunk() {
		n.Gateway.Link, n.Gateway.Tag = desired.GatewayTrunk, tag
	}
	return nil
}
