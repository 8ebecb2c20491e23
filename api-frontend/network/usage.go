package network

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/network/ipam"
)

const maxTag = 4094

// usage is what is in use, derived from what is committed, and what a plan takes beside it.
type usage struct {
	networks map[string]*desired.Network
	runs     map[string]*run
	tags     map[uint16]bool
	next     uint16                  // no tag below it is free.
	macs     map[string]bool         // by network and address.
	sets     map[string][2]*ipam.Set // by network: IPv4, IPv6; made when asked for.
}

// usage looks at what is committed. The caller holds writing, so that it stays so.
func (s *Service) usage() *usage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := &usage{networks: s.networks, runs: s.runs, tags: map[uint16]bool{}, next: 1, macs: map[string]bool{}, sets: map[string][2]*ipam.Set{}}
	for _, n := range s.networks {
		if n.Gateway != nil {
			u.tags[n.Gateway.OVSTag] = true
			u.macs[n.ID+string(n.Gateway.MAC)] = true
		}
	}
	for _, r := range s.runs {
		for _, ep := range r.Endpoints {
			if ep.Link != "" {
				u.tags[ep.OVSTag] = true
				u.macs[ep.NetworkID+string(ep.MAC)] = true
			}
		}
	}
	return u
}

// tag takes the lowest free one.
func (u *usage) tag() (uint16, error) {
	for ; u.next <= maxTag; u.next++ {
		if !u.tags[u.next] {
			u.tags[u.next] = true
			return u.next, nil
		}
	}
	return 0, errTags
}

// mac takes an address: the given one, or one that follows from the IP addresses, so that what neighbours remember of an
// IP address stays true when another container gets it. One that is taken gives way to a random one.
func (u *usage) mac(networkID string, given net.HardwareAddr, ips ...netip.Addr) ([]byte, error) {
	if len(given) > 0 {
		if !u.claim(networkID, given) {
			return nil, conflict("MAC address %s is already in use in network %s", given, u.networks[networkID].Name)
		}
		return given, nil
	}
	for _, ip := range ips {
		if !ip.IsValid() {
			continue
		}
		raw := ip.AsSlice()
		if mac := append([]byte{0x02, 0x42}, raw[len(raw)-4:]...); u.claim(networkID, mac) {
			return mac, nil
		}
		break
	}
	for {
		mac := make([]byte, 6)
		_, _ = rand.Read(mac) // It never fails.
		mac[0] = mac[0]&0xfe | 0x02
		if u.claim(networkID, mac) {
			return mac, nil
		}
	}
}

// claim takes a MAC address that is free.
func (u *usage) claim(networkID string, mac []byte) bool {
	key := networkID + string(mac)
	if u.macs[key] {
		return false
	}
	u.macs[key] = true
	return true
}

// addresses are those in use of one family of a network.
func (u *usage) addresses(n *desired.Network, v6 bool) *ipam.Set {
	sets, ok := u.sets[n.ID]
	if !ok {
		for i := range sets {
			sets[i] = u.set(n, i == 1)
		}
		u.sets[n.ID] = sets
	}
	if v6 {
		return sets[1]
	}
	return sets[0]
}

func (u *usage) set(n *desired.Network, v6 bool) *ipam.Set {
	pool := n.Pool(v6)
	if pool == nil {
		return nil
	}
	set := ipam.New(pool.Subnet)
	take := func(a netip.Addr) {
		if a.IsValid() {
			_ = set.Take(a) // What is outside of the subnet, or in use already, needs no place.
		}
	}
	take(pool.Gateway)
	for _, a := range pool.Aux {
		take(a)
	}
	for _, r := range u.runs {
		for _, ep := range r.Endpoints {
			if ep.NetworkID == n.ID {
				take(ep.IPv4.Addr())
				take(ep.IPv6.Addr())
			}
		}
	}
	return set
}

// newID is a random ID of 64 hexadecimal digits that no table takes for a number when it is cut.
func newID() string {
	for {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw) // It never fails.
		id := hex.EncodeToString(raw)
		for _, r := range id[:12] {
			if r > '9' {
				return id
			}
		}
	}
}
