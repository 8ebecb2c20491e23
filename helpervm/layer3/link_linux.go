package layer3

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/helpervm/plan"
)

// links makes interfaces as they shall be. Every function of it is idempotent and touches only what differs.
type links struct{}

func absent(name string) error {
	return fmt.Errorf("there is no interface %s: %w", name, errdefs.ErrNotFound)
}

// isAbsent tells whether nothing else is wrong than that interfaces are not there yet.
func isAbsent(err error) bool { return errdefs.IsNotFound(err) }

func byName(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil, absent(name)
	}
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	return l, nil
}

// gateway makes a network's interface as it shall be.
func (links) gateway(n plan.Network) (index int, err error) {
	name := n.Interface()
	l, err := byName(name)
	if n.Gateway.Tag != 0 && isAbsent(err) {
		l, err = makeVLAN(name, *n.Gateway)
	}
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, configure(l, n.Gateway.MAC, n.MTU, n.GatewayAddresses())
}

func makeVLAN(name string, g plan.Gateway) (netlink.Link, error) {
	trunk, err := byName(g.Link)
	if err != nil {
		return nil, err
	}
	if trunk.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(trunk); err != nil {
			return nil, fmt.Errorf("set up the trunk %s: %w", g.Link, err)
		}
	}
	if err := netlink.LinkAdd(vlan(name, g, trunk.Attrs().Index)); err != nil {
		return nil, fmt.Errorf("make VLAN %d of %s: %w", g.Tag, g.Link, err)
	}
	return byName(name)
}

// vlan is the interface that carries a gateway's VLAN of a trunk.
func vlan(name string, g plan.Gateway, trunk int) *netlink.Vlan {
	return &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: trunk, HardwareAddr: g.MAC}, VlanId: g.Tag, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
}

// uplink makes the uplink's interface and the default routes.
func (links) uplink(u plan.Uplink) (index int, err error) {
	l, err := byName(u.Link)
	if err != nil {
		return 0, err
	}
	var addresses []netip.Prefix
	for _, a := range []netip.Prefix{u.Address, u.Address6} {
		if a.IsValid() {
			addresses = append(addresses, a)
		}
	}
	if err := configure(l, nil, u.MTU, addresses); err != nil {
		return 0, err
	}
	for _, hop := range []netip.Addr{u.NextHop, u.NextHop6} {
		if !hop.IsValid() {
			continue
		}
		family := netlink.FAMILY_V4
		everything := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
		if hop.Is6() {
			family, everything = netlink.FAMILY_V6, &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		}
		r := &netlink.Route{Family: family, Dst: everything, Gw: hop.AsSlice(), LinkIndex: l.Attrs().Index}
		if err := netlink.RouteReplace(r); err != nil {
			return 0, fmt.Errorf("route everything through %s: %w", hop, err)
		}
	}
	return l.Attrs().Index, nil
}

// port sets an interface up that is OVS's alone: the kernel has no address there and says nothing.
func (links) port(name string) (index int, err error) {
	l, err := byName(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, configure(l, nil, 0, nil)
}

// clear takes from an interface what configure gave it; one that is ours alone goes. An absent one is clear.
func (links) clear(name string, ours bool) error {
	l, err := byName(name)
	if isAbsent(err) {
		return nil
	}
	if err == nil && ours {
		err = netlink.LinkDel(l)
	} else if err == nil {
		if err = setAddresses(l, nil); err == nil {
			err = netlink.LinkSetDown(l)
		}
	}
	if isGone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clear interface %s: %w", name, err)
	}
	return nil
}

// isGone tells that an interface went while it was worked on.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) }

func configure(l netlink.Link, mac net.HardwareAddr, mtu int, addresses []netip.Prefix) error {
	a := l.Attrs()
	if err := write(l, mac, mtu, addresses); isGone(err) {
		return absent(a.Name)
	} else if err != nil {
		return fmt.Errorf("configure interface %s: %w", a.Name, err)
	}
	return nil
}

func write(l netlink.Link, mac net.HardwareAddr, mtu int, addresses []netip.Prefix) error {
	a := l.Attrs()
	if mac != nil && !bytes.Equal(a.HardwareAddr, mac) {
		if err := netlink.LinkSetHardwareAddr(l, mac); err != nil {
			return fmt.Errorf("set its address to %s: %w", mac, err)
		}
	}
	if mtu != 0 && a.MTU != mtu {
		if err := netlink.LinkSetMTU(l, mtu); err != nil {
			return fmt.Errorf("set its MTU to %d: %w", mtu, err)
		}
	}
	v6 := false
	for _, p := range addresses {
		v6 = v6 || p.Addr().Is6()
	}
	if err := writeSysctls(a.Name, v6); err != nil {
		return err
	}
	if err := setAddresses(l, addresses); err != nil {
		return err
	}
	if a.Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(l); err != nil {
			return fmt.Errorf("set it up: %w", err)
		}
	}
	return nil
}

// setAddresses makes an interface have these addresses and no other, but for IPv6's own link-local one.
func setAddresses(l netlink.Link, wanted []netip.Prefix) error {
	have, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list its addresses: %w", err)
	}
	missing := map[netip.Prefix]bool{}
	for _, w := range wanted {
		missing[w] = true
	}
	for i := range have {
		ip, _ := netip.AddrFromSlice(have[i].IP)
		ones, _ := have[i].Mask.Size()
		p := netip.PrefixFrom(ip.Unmap(), ones)
		switch {
		case missing[p]:
			delete(missing, p)
		case ip.Is6() && !ip.Is4In6() && ip.IsLinkLocalUnicast():
		default:
			if err := netlink.AddrDel(l, &have[i]); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("take its address %s away: %w", p, err)
			}
		}
	}
	for _, w := range wanted {
		if !missing[w] {
			continue
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: w.Addr().AsSlice(), Mask: net.CIDRMask(w.Bits(), w.Addr().BitLen())}}
		if w.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // It answers at once: addresses are unique, because the front end gives them.
		}
		if err := netlink.AddrReplace(l, addr); err != nil {
			return fmt.Errorf("give it the address %s: %w", w, err)
		}
	}
	return nil
}
