package ipam

import (
	"crypto/sha256"
	"net/netip"
	"slices"
)

// Pool is a block that is split into subnets of one size.
type Pool struct {
	Base netip.Prefix
	Size int // bits of each subnet's prefix.
}

// Defaults are dockerd's pools of the local scope.
func Defaults() []Pool {
	return []Pool{
		{netip.MustParsePrefix("172.17.0.0/16"), 16},
		{netip.MustParsePrefix("172.18.0.0/16"), 16},
		{netip.MustParsePrefix("172.19.0.0/16"), 16},
		{netip.MustParsePrefix("172.20.0.0/14"), 16},
		{netip.MustParsePrefix("172.24.0.0/14"), 16},
		{netip.MustParsePrefix("172.28.0.0/14"), 16},
		{netip.MustParsePrefix("192.168.0.0/16"), 20},
	}
}

// Unique is the pool of unique local IPv6 addresses (RFC 4193) of the engine with this ID.
func Unique(engineID string) Pool {
	sum := sha256.Sum256([]byte(engineID))
	base := [16]byte{0: 0xfd}
	copy(base[1:6], sum[:5])
	return Pool{netip.PrefixFrom(netip.AddrFrom16(base), 48), 64}
}

// Choose gives the first subnet of the pools of a family that overlaps nothing of taken and nothing of reserved.
func Choose(pools []Pool, v6 bool, taken, reserved []netip.Prefix) (netip.Prefix, error) {
	pools = slices.Clone(pools)
	slices.SortStableFunc(pools, func(a, b Pool) int { return a.Base.Addr().Compare(b.Base.Addr()) })
	for _, p := range pools {
		if p.Base.Addr().Is4() == v6 {
			continue
		}
		if subnet, ok := p.first(taken, reserved); ok {
			return subnet, nil
		}
	}
	return netip.Prefix{}, ErrNoSubnet
}

// first walks the pool, jumping over whatever is in the way: each step passes one of the obstacles.
func (p Pool) first(lists ...[]netip.Prefix) (netip.Prefix, bool) {
	base := p.Base.Masked()
	at := base.Addr()
	for at.IsValid() && base.Contains(at) {
		subnet := netip.PrefixFrom(at, p.Size)
		obstacle, found := blocked(subnet, lists)
		if !found {
			return subnet, true
		}
		if obstacle.Bits() > p.Size {
			obstacle = subnet // a part of it is taken.
		}
		at = Last(obstacle).Next()
	}
	return netip.Prefix{}, false
}

func blocked(subnet netip.Prefix, lists [][]netip.Prefix) (netip.Prefix, bool) {
	for _, list := range lists {
		for _, other := range list {
			if other.IsValid() && other.Overlaps(subnet) {
				return other.Masked(), true
			}
		}
	}
	return netip.Prefix{}, false
}

// Overlaps tells whether a subnet overlaps one of those taken.
func Overlaps(subnet netip.Prefix, taken []netip.Prefix) bool {
	_, found := blocked(subnet, [][]netip.Prefix{taken})
	return found
}

// Last is the last address of a prefix: the broadcast address of an IPv4 subnet.
func Last(p netip.Prefix) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last
}
