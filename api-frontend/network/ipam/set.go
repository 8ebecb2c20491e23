package ipam

import "net/netip"

// Set is the addresses of one subnet that are in use. It is not safe for concurrent use.
type Set struct {
	subnet netip.Prefix
	used   map[netip.Addr]struct{}
}

// New makes the set of a subnet: its first address, and an IPv4 subnet's broadcast address, are in use from the beginning.
func New(subnet netip.Prefix) *Set {
	s := &Set{subnet: subnet.Masked(), used: map[netip.Addr]struct{}{}}
	four, free := subnet.Addr().Is4(), subnet.Addr().BitLen()-subnet.Bits()
	if !four || free > 1 {
		s.used[s.subnet.Addr()] = struct{}{}
	}
	if four && free > 1 {
		s.used[Last(s.subnet)] = struct{}{}
	}
	return s
}

// Take marks one address as used.
func (s *Set) Take(a netip.Addr) error {
	a = a.Unmap()
	if !s.subnet.Contains(a) {
		return ErrOutOfRange
	}
	if _, ok := s.used[a]; ok {
		return ErrInUse
	}
	s.used[a] = struct{}{}
	return nil
}

// Any takes the lowest free address of a part of the subnet; an invalid part is the whole.
func (s *Set) Any(within netip.Prefix) (netip.Addr, error) {
	if !within.IsValid() {
		within = s.subnet
	}
	if within = within.Masked(); !s.subnet.Overlaps(within) || within.Bits() < s.subnet.Bits() {
		within = s.subnet
	}
	for a := within.Addr(); a.IsValid() && within.Contains(a); a = a.Next() {
		if _, ok := s.used[a]; !ok {
			s.used[a] = struct{}{}
			return a, nil
		}
	}
	return netip.Addr{}, ErrExhausted
}
