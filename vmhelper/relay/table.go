package relay

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
)

// Bounds of what a table may hold.
const (
	maxEndpoints = 1 << 16
	maxAddresses = 64
	maxSubnets   = 64
	maxTag       = 4094
)

// table is what was told to the relay. It is copied, changed, checked, and then taken as a whole.
type table struct {
	networks  map[string]Network
	endpoints map[string]Endpoint
	ovs       LinkKey
	hasOVS    bool
}

func newTable() *table {
	return &table{networks: map[string]Network{}, endpoints: map[string]Endpoint{}}
}

func (t *table) clone() *table {
	c := *t
	c.networks, c.endpoints = maps.Clone(t.networks), maps.Clone(t.endpoints)
	return &c
}

func (t *table) change(c Change) {
	for _, id := range c.RemoveEndpoints {
		delete(t.endpoints, id)
	}
	for _, id := range c.RemoveNetworks {
		delete(t.networks, id)
		maps.DeleteFunc(t.endpoints, func(_ string, e Endpoint) bool { return e.Network == id })
	}
	for _, n := range c.Networks {
		if was, ok := t.networks[n.ID]; !ok || n.Generation > was.Generation {
			t.networks[n.ID] = ownNetwork(n)
		}
	}
	for _, e := range c.Endpoints {
		if was, ok := t.endpoints[e.ID]; !ok || e.Generation > was.Generation {
			t.endpoints[e.ID] = ownEndpoint(e)
		}
	}
	if c.OVS != nil {
		t.ovs, t.hasOVS = *c.OVS, true
	}
	if c.DropOVS {
		t.ovs, t.hasOVS = LinkKey{}, false
	}
}

func ownNetwork(n Network) Network {
	n.Subnets = slices.Clone(n.Subnets)
	return n
}

func ownEndpoint(e Endpoint) Endpoint {
	e.Addresses = slices.Clone(e.Addresses)
	return e
}

// check refuses a table in which a frame would have two places to go to.
func (t *table) check() error {
	if len(t.endpoints) > maxEndpoints || len(t.networks) > maxEndpoints {
		return fmt.Errorf("check table: more than %d entries: %w", maxEndpoints, errdefs.ErrResourceExhausted)
	}
	for id, n := range t.networks {
		if id == "" || len(n.Subnets) > maxSubnets || slices.ContainsFunc(n.Subnets, func(p netip.Prefix) bool { return !p.IsValid() }) {
			return fmt.Errorf("check network %s: bad ID or subnets: %w", id, errdefs.ErrInvalidArgument)
		}
	}
	type place struct {
		link LinkKey
		tag  uint16
	}
	type address struct {
		network string
		mac     [6]byte
		ip      netip.Addr
	}
	places, addresses, tags := map[place]string{}, map[address]string{}, map[uint16]string{}
	trunks := map[LinkKey]bool{}
	claim := func(other string, taken bool, id, what string) error {
		if taken {
			return fmt.Errorf("check endpoint %s: %s is that of %s: %w", id, what, other, errdefs.ErrInvalidArgument)
		}
		return nil
	}
	for id, e := range t.endpoints {
		if err := t.checkEndpoint(id, e); err != nil {
			return err
		}
		p := place{e.Link, e.Tag}
		other, taken := places[p]
		if err := claim(other, taken, id, "its link"); err != nil {
			return err
		}
		places[p] = id
		if tagged, known := trunks[e.Link]; known && tagged != (e.Tag != 0) {
			return fmt.Errorf("check endpoint %s: its link is both a trunk and an endpoint's alone: %w", id, errdefs.ErrInvalidArgument)
		}
		trunks[e.Link] = e.Tag != 0
		a := address{network: e.Network, mac: e.MAC}
		other, taken = addresses[a]
		if err := claim(other, taken, id, "its MAC address"); err != nil {
			return err
		}
		addresses[a] = id
		for _, ip := range e.Addresses {
			a := address{network: e.Network, ip: ip}
			other, taken = addresses[a]
			if err := claim(other, taken && other != id, id, ip.String()); err != nil {
				return err
			}
			addresses[a] = id
		}
		if e.OVSTag != 0 {
			other, taken = tags[e.OVSTag]
			if err := claim(other, taken, id, "its tag"); err != nil {
				return err
			}
			tags[e.OVSTag] = id
		}
	}
	return nil
}

func (t *table) checkEndpoint(id string, e Endpoint) error {
	var problem string
	switch {
	case id == "":
		problem = "no ID"
	case e.MAC == [6]byte{} || e.MAC[0]&1 != 0:
		problem = "its MAC address is none of a host"
	case e.Tag > maxTag || e.OVSTag > maxTag:
		problem = "its tag is none of a VLAN"
	case e.Link.Sandbox == "" || e.Link.Name == "":
		problem = "it has no link"
	case t.hasOVS && e.Link == t.ovs:
		problem = "its link is the trunk of OVS"
	case len(e.Addresses) > maxAddresses:
		problem = "it has too many addresses"
	case slices.ContainsFunc(e.Addresses, func(a netip.Addr) bool {
		return !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast()
	}):
		problem = "an address is none of a host"
	}
	if _, ok := t.networks[e.Network]; !ok && problem == "" {
		// Who programmed the table may have meant one of before a restart: he can tell this from a mistake.
		return fmt.Errorf("check endpoint %s: there is no network %s: %w", id, e.Network, errdefs.ErrNotFound)
	}
	if problem != "" {
		return fmt.Errorf("check endpoint %s: %s: %w", id, problem, errdefs.ErrInvalidArgument)
	}
	return nil
}
