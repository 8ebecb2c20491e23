package uplink

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/vmhelper/relay"
)

// Settings say where the uplink is, and its addresses.
type Settings struct {
	Link      relay.LinkKey
	Helper    netip.Prefix // the helper's end, with its subnet.
	Helper6   netip.Prefix // invalid: no IPv6.
	Address   netip.Addr   // this end's.
	Address6  netip.Addr
	DNS       netip.Addr // answers queries.
	Host      netip.Addr // stands for the host's loopback.
	Denied    []netip.AddrPort
	MTU       uint32
	Resolvers []netip.Addr // none: those of the host.
}

// Check tells what is wrong with settings.
func (s *Settings) Check() error {
	bad := func(what string) error { return fmt.Errorf("%s: %w", what, errdefs.ErrInvalidArgument) }
	four, six := s.Helper.Masked(), s.Helper6.Masked()
	switch {
	case !s.Helper.IsValid() || !s.Helper.Addr().Is4():
		return bad("the helper's address must be an IPv4 address with its subnet")
	case !four.Contains(s.Address) || s.Address == s.Helper.Addr():
		return bad("the uplink's address must be another one of the helper's subnet")
	case s.Helper6.IsValid() && (!s.Helper6.Addr().Is6() || !six.Contains(s.Address6) || s.Address6 == s.Helper6.Addr()):
		return bad("the uplink's IPv6 address must be another one of the helper's subnet")
	case s.DNS.IsValid() && (s.DNS == s.Host || s.DNS == s.Helper.Addr() || s.Host == s.Helper.Addr()):
		return bad("the addresses of DNS, host and helper must differ")
	case s.MTU < 1280 || s.MTU > 65535:
		return bad("the MTU must be from 1280 to 65535")
	}
	return nil
}

// same tells whether two settings need the same stack.
func (s *Settings) same(o *Settings) bool {
	return s.Link == o.Link && s.Helper == o.Helper && s.Helper6 == o.Helper6 && s.Address == o.Address && s.Address6 == o.Address6 && s.MTU == o.MTU
}

func (s *Settings) equal(o *Settings) bool {
	return s.same(o) && s.DNS == o.DNS && s.Host == o.Host && slices.Equal(s.Denied, o.Denied) && slices.Equal(s.Resolvers, o.Resolvers)
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	reserved    = netip.MustParsePrefix("240.0.0.0/4") // with the broadcast address.
)

// errForbidden is the refusal of an address where no container may go.
var errForbidden = fmt.Errorf("no container may go there: %w", errdefs.ErrPermissionDenied)

// target tells where on the host's side an address is.
func (s *Settings) target(to netip.AddrPort, host *hostNets) (netip.AddrPort, error) {
	ip := to.Addr().Unmap()
	if ip == s.Host {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if !s.Host.Is4() {
			ip = netip.IPv6Loopback()
		}
	} else if ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() || ip.Is6() && ip.IsLinkLocalUnicast() ||
		thisNetwork.Contains(ip) || reserved.Contains(ip) || s.own(ip) || host.broadcast(ip) {
		return netip.AddrPort{}, errForbidden
	}
	target := netip.AddrPortFrom(ip, to.Port())
	for _, d := range s.Denied {
		if d.Port() == target.Port() && (d.Addr() == ip || d.Addr().IsUnspecified() && host.has(ip)) {
			return netip.AddrPort{}, errForbidden
		}
	}
	return target, nil
}

// own tells whether an address is of the uplink's own subnets.
func (s *Settings) own(ip netip.Addr) bool {
	return s.Helper.Masked().Contains(ip) || s.Helper6.IsValid() && s.Helper6.Masked().Contains(ip)
}
