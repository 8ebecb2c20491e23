package layer3

import (
	"net"
	"reflect"

	"github.com/vishvananda/netlink"

	"github.com/arca-engine/arca/helpervm/plan"
)

// judgesOtherwise tells whether connections may be judged otherwise than before.
func judgesOtherwise(before, after plan.Network) bool {
	return before.Internal != after.Internal || before.Masquerade != after.Masquerade ||
		!reflect.DeepEqual(before.Rules, after.Rules) || !reflect.DeepEqual(before.Subnets, after.Subnets)
}

// forgetConnections makes the kernel judge a network's connections anew: what is still allowed goes on, because
// connections are also taken up in their middle.
func (p *Plane) forgetConnections(before plan.Network) {
	for _, s := range before.Subnets {
		family := netlink.InetFamily(netlink.FAMILY_V4)
		if s.Prefix.Addr().Is6() {
			family = netlink.FAMILY_V6
		}
		ip := &net.IPNet{IP: s.Prefix.Addr().AsSlice(), Mask: net.CIDRMask(s.Prefix.Bits(), s.Prefix.Addr().BitLen())}
		for _, end := range []netlink.ConntrackFilterType{netlink.ConntrackOrigSrcIP, netlink.ConntrackOrigDstIP} {
			f := &netlink.ConntrackFilter{}
			err := f.AddIPNet(end, ip)
			if err == nil {
				_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, f)
			}
			if err != nil {
				p.log.Warn("connections of a network could not be forgotten", "network", before.ID.Short(), "subnet", s.Prefix, "error", err)
			}
		}
	}
}
