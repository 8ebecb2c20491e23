package netconf

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Bounds of a configuration.
const (
	maxInterfaces = 512
	maxPerKind    = 256 // addresses, routes, sysctls of an interface.
	maxTag        = 4094
)

// key identifies an endpoint's interface for its life; its name may change.
type key struct {
	link string
	tag  uint32
}

// iface is an interface as it shall be, and where it is. Its addresses and routes are those that were applied.
type iface struct {
	key
	name      string
	mac       net.HardwareAddr
	mtu       int
	addresses []netip.Prefix
	routes    []route
	sysctls   []setting

	index int
	up    bool // all of it was applied.
}

type route struct {
	to  netip.Prefix // 0.0.0.0/0 or ::/0: the default.
	via netip.Addr   // not valid: on the link.
}

type setting struct{ key, value string }

func (f *iface) sameSettings(o *iface) bool {
	return f.name == o.name && bytes.Equal(f.mac, o.mac) && f.mtu == o.mtu && slices.Equal(f.addresses, o.addresses) &&
		slices.Equal(f.sysctls, o.sysctls)
}

// parse checks a configuration.
func parse(c *guestv1.NetworkConfig) ([]*iface, error) {
	if n := len(c.GetInterfaces()); n > maxInterfaces {
		return nil, fmt.Errorf("network: %d interfaces: %w", n, errdefs.ErrInvalidArgument)
	}
	var out []*iface
	keys, names, defaults := map[key]bool{}, map[string]bool{}, map[bool]bool{}
	for _, i := range c.GetInterfaces() {
		f, err := parseInterface(i)
		if err != nil {
			return nil, fmt.Errorf("network: interface %q: %w: %w", i.Name, err, errdefs.ErrInvalidArgument)
		}
		if keys[f.key] || names[f.name] {
			return nil, fmt.Errorf("network: interface %q is named twice: %w", i.Name, errdefs.ErrInvalidArgument)
		}
		keys[f.key], names[f.name] = true, true
		for _, r := range f.routes {
			if r.to.Bits() != 0 {
				continue
			}
			v6 := r.to.Addr().Is6()
			if defaults[v6] {
				return nil, fmt.Errorf("network: interface %q has a second default route: %w", i.Name, errdefs.ErrInvalidArgument)
			}
			defaults[v6] = true
		}
		out = append(out, f)
	}
	return out, nil
}

func parseInterface(i *guestv1.Interface) (*iface, error) {
	f := &iface{key: key{i.Link, i.Tag}, name: i.Name, mac: i.Mac, mtu: int(i.Mtu)}
	switch {
	case !validName(i.Link) || !validName(i.Name):
		return nil, fmt.Errorf("link %q is no name of an interface", i.Link)
	case i.Tag > maxTag:
		return nil, fmt.Errorf("tag %d", i.Tag)
	case len(i.Mac) != 0 && len(i.Mac) != 6:
		return nil, fmt.Errorf("a hardware address of %d bytes", len(i.Mac))
	case i.Mtu > 65535:
		return nil, fmt.Errorf("MTU %d", i.Mtu)
	case len(i.Addresses) > maxPerKind || len(i.Routes) > maxPerKind || len(i.Sysctls) > maxPerKind:
		return nil, fmt.Errorf("%d addresses, %d routes, %d sysctls", len(i.Addresses), len(i.Routes), len(i.Sysctls))
	}
	for _, a := range i.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return nil, err
		}
		f.addresses = append(f.addresses, p)
	}
	for _, r := range i.Routes {
		p, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			return nil, err
		}
		if err := f.addRoute(p.Masked(), r.NextHop); err != nil {
			return nil, err
		}
	}
	if i.Gateway != "" {
		if err := f.addRoute(netip.PrefixFrom(netip.IPv4Unspecified(), 0), i.Gateway); err != nil {
			return nil, err
		}
	}
	if i.Gateway6 != "" {
		if err := f.addRoute(netip.PrefixFrom(netip.IPv6Unspecified(), 0), i.Gateway6); err != nil {
			return nil, err
		}
	}
	for _, s := range i.Sysctls {
		x, err := parseSetting(s, i.Name)
		if err != nil {
			return nil, err
		}
		f.sysctls = append(f.sysctls, x)
	}
	return f, nil
}

func (f *iface) addRoute(to netip.Prefix, via string) error {
	r := route{to: to}
	if via != "" {
		var err error
		if r.via, err = netip.ParseAddr(via); err != nil {
			return err
		}
		if r.via.Is6() != to.Addr().Is6() || r.via.Zone() != "" {
			return fmt.Errorf("route to %s by %s", to, via)
		}
	}
	f.routes = append(f.routes, r)
	return nil
}

func (f *iface) hasIPv6() bool {
	return slices.ContainsFunc(f.addresses, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// validName says what the kernel takes for the name of a link, without what stands for something else in a path.
func validName(s string) bool {
	return s != "" && len(s) < unix.IFNAMSIZ && s != "." && s != ".." && s != "lo" && !strings.ContainsAny(s, "/: \t\n\v\f\r\x00%")
}

func (r route) netlink(index int) *netlink.Route {
	n := &netlink.Route{LinkIndex: index, Dst: ipNet(r.to), Protocol: unix.RTPROT_STATIC}
	if r.via.IsValid() {
		n.Gw = r.via.AsSlice()
	} else {
		n.Scope = netlink.SCOPE_LINK
	}
	return n
}

func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // Addresses are given out once; nobody waits a second to be sure.
	}
	return a
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
