package netconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// work is one configuration under way.
type work struct {
	*Space
	here *netlink.Handle // in the container's namespace.
	away *netlink.Handle // in the sandbox's own, which may be the same.
}

func (s *Space) begin() (*work, error) {
	w := &work{Space: s}
	err := s.Do(func() (err error) {
		w.here, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	w.away = w.here
	if !s.shared {
		if w.away, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			w.here.Close()
			return nil, fmt.Errorf("open netlink: %w", err)
		}
	}
	return w, nil
}

func (w *work) end() {
	w.here.Close()
	if w.away != w.here {
		w.away.Close()
	}
}

// Check says whether a configuration can be applied at all.
func Check(c *guestv1.NetworkConfig) error {
	_, err := parse(c)
	return err
}

// Configure makes the interfaces of the namespace as c says. Those that c does not name go; those that are right are not
// disturbed.
func (s *Space) Configure(ctx context.Context, c *guestv1.NetworkConfig) error {
	want, err := parse(c)
	if err != nil {
		return err
	}
	if len(want) == 0 && len(s.ifaces) == 0 {
		return nil
	}
	if s.shared && slices.ContainsFunc(want, func(f *iface) bool { return f.tag != 0 }) {
		return fmt.Errorf("configure network: a container that shares the sandbox's namespace has no trunk: %w", errdefs.ErrInvalidArgument)
	}
	w, err := s.begin()
	if err != nil {
		return fmt.Errorf("configure network: %w", err)
	}
	defer w.end()
	if err := w.configure(ctx, want); err != nil {
		return fmt.Errorf("configure network: %w", err)
	}
	return nil
}

func (w *work) configure(ctx context.Context, want []*iface) error {
	if err := w.clear(want); err != nil {
		return err
	}
	if err := w.rename(want); err != nil {
		return err
	}
	for _, f := range want {
		have := w.ifaces[f.key]
		if have == nil {
			if err := w.add(ctx, f); err != nil {
				return fmt.Errorf("interface %s: %w", f.name, err)
			}
		} else if err := w.change(have, f); err != nil {
			return fmt.Errorf("interface %s: %w", f.name, err)
		}
	}
	return w.route(want)
}

// clear removes the interfaces that are not wanted, and forgets those that the host has taken away.
func (w *work) clear(want []*iface) error {
	for k, have := range w.ifaces {
		if _, err := w.here.LinkByIndex(have.index); errors.As(err, new(netlink.LinkNotFoundError)) {
			delete(w.ifaces, k)
			continue
		}
		if slices.ContainsFunc(want, func(f *iface) bool { return f.key == k }) {
			continue
		}
		if err := w.remove(have); err != nil {
			return fmt.Errorf("remove interface %s: %w", have.name, err)
		}
	}
	return nil
}

// rename gives interfaces their new names, by way of others so that two may change theirs.
func (w *work) rename(want []*iface) error {
	var moved []*iface
	for _, f := range want {
		have := w.ifaces[f.key]
		if have == nil || have.name == f.name {
			continue
		}
		if err := w.setName(have, fmt.Sprintf("arca%d", have.index)); err != nil {
			return err
		}
		moved = append(moved, f)
	}
	for _, f := range moved {
		if err := w.setName(w.ifaces[f.key], f.name); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) setName(f *iface, name string) error {
	err := w.here.LinkSetName(linkOf(f.index), name)
	if errors.Is(err, unix.EBUSY) { // Before Linux 6.2 an interface that is up keeps its name. What goes with its being up is made anew.
		f.routes, f.addresses, f.up = nil, nil, false
		if err = w.here.LinkSetDown(linkOf(f.index)); err == nil {
			err = w.here.LinkSetName(linkOf(f.index), name)
		}
	}
	if err != nil {
		return fmt.Errorf("rename interface %s to %s: %w", f.name, name, err)
	}
	f.name = name
	return nil
}

// add takes a link in and sets it up.
func (w *work) add(ctx context.Context, f *iface) error {
	take := w.takeLink
	if f.tag != 0 {
		take = w.addTagged
	}
	have, err := take(ctx, f)
	if err != nil {
		return err
	}
	w.ifaces[f.key] = have
	return w.change(have, f)
}

// change brings an interface from what it has to what it shall have, but for its routes. What it reached is in have.
func (w *work) change(have, f *iface) error {
	f.index = have.index
	if have.up && have.sameSettings(f) {
		return nil
	}
	if len(f.mac) > 0 && !bytes.Equal(have.mac, f.mac) {
		if err := w.here.LinkSetHardwareAddr(linkOf(f.index), f.mac); err != nil {
			return fmt.Errorf("set hardware address: %w", err)
		}
		have.mac = f.mac
	}
	if f.mtu > 0 && have.mtu != f.mtu {
		if err := w.here.LinkSetMTU(linkOf(f.index), f.mtu); err != nil {
			return fmt.Errorf("set MTU %d: %w", f.mtu, err)
		}
	}
	if err := w.Do(func() error { return allowIPv6(f.name, f.hasIPv6()) }); err != nil {
		return err
	}
	if err := w.setAddresses(have, f); err != nil {
		return err
	}
	err := w.Do(func() error {
		for _, s := range f.sysctls {
			if err := writeSysctl(s.key, s.key, s.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.here.LinkSetUp(linkOf(f.index)); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	have.mac, have.mtu, have.sysctls, have.up = f.mac, f.mtu, f.sysctls, true
	return nil
}

// allowIPv6 switches IPv6 of an interface. A kernel without IPv6 has nothing to switch off.
func allowIPv6(name string, on bool) error {
	value := "1"
	if on {
		value = "0"
	}
	file := "net/ipv6/conf/" + name + "/disable_ipv6"
	if now, err := readSysctl(file); err == nil && now == value {
		return nil
	}
	err := writeSysctl("net.ipv6.conf."+name+".disable_ipv6", file, value)
	if errors.Is(err, unix.ENOENT) && !on {
		return nil
	}
	return err
}

// setAddresses leaves it to route to make routes again that may have gone with an address.
func (w *work) setAddresses(have, f *iface) error {
	if !slices.Equal(have.addresses, f.addresses) {
		have.routes = slices.DeleteFunc(have.routes, func(r route) bool { return slices.Contains(f.routes, r) })
	}
	for _, p := range slices.Clone(have.addresses) {
		if slices.Contains(f.addresses, p) {
			continue
		}
		if err := w.here.AddrDel(linkOf(f.index), address(p)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s: %w", p, err)
		}
		// Others of the same subnet may have gone with it, and are added again.
		have.addresses = slices.DeleteFunc(have.addresses, func(o netip.Prefix) bool { return o == p || slices.Contains(f.addresses, o) })
	}
	for _, p := range f.addresses {
		if slices.Contains(have.addresses, p) {
			continue
		}
		if err := w.here.AddrReplace(linkOf(f.index), address(p)); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
		have.addresses = append(have.addresses, p)
	}
	return nil
}

// route makes the routes of all interfaces. New ones come before old ones go, so that a default route that another
// interface takes over is replaced at once.
func (w *work) route(want []*iface) error {
	for _, f := range want {
		have := w.ifaces[f.key]
		for _, r := range f.routes {
			if slices.Contains(have.routes, r) {
				continue
			}
			if err := w.here.RouteReplace(r.netlink(f.index)); err != nil {
				return fmt.Errorf("interface %s: add route to %s: %w", f.name, r.to, err)
			}
			have.routes = append(have.routes, r)
		}
	}
	for _, f := range want {
		have := w.ifaces[f.key]
		for _, r := range slices.Clone(have.routes) {
			if slices.Contains(f.routes, r) {
				continue
			}
			if err := w.here.RouteDel(r.netlink(f.index)); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("interface %s: remove route to %s: %w", f.name, r.to, err)
			}
			have.routes = slices.DeleteFunc(have.routes, func(o route) bool { return o == r })
		}
	}
	return nil
}
