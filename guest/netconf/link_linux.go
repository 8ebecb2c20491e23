package netconf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// patience is how long a link may take to come.
const patience = 2 * time.Second

// linkOf names a link by its index, which is all that calls about it want to know.
func linkOf(index int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
}

// takeLink moves a link of the sandbox into the container's namespace and gives it its name there.
func (w *work) takeLink(ctx context.Context, f *iface) (*iface, error) {
	l, err := w.find(ctx, f.link)
	if err != nil {
		return nil, err
	}
	if !w.shared {
		if l.Attrs().Flags&unix.IFF_UP != 0 { // It shall be silent until it has its addresses.
			if err := w.away.LinkSetDown(l); err != nil {
				return nil, fmt.Errorf("set link %s down: %w", f.link, err)
			}
		}
		if err := w.away.LinkSetNsFd(l, int(w.file.Fd())); err != nil {
			return nil, fmt.Errorf("move link %s: %w", f.link, err)
		}
		if l, err = w.here.LinkByName(f.link); err != nil {
			return nil, fmt.Errorf("find link %s after its move: %w", f.link, err)
		}
	}
	if f.name != f.link {
		if err := w.here.LinkSetName(l, f.name); err != nil {
			err = fmt.Errorf("rename link %s: %w", f.link, err)
			if !w.shared {
				err = errors.Join(err, w.here.LinkSetNsFd(l, int(w.home.file.Fd())))
			}
			return nil, err
		}
	}
	return f.found(l), nil
}

// found is an interface that has its name, and nothing else of what it shall have but by chance: each change of a link
// takes a lock that all namespaces share, and may wait for it.
func (f *iface) found(l netlink.Link) *iface {
	return &iface{key: f.key, name: f.name, index: l.Attrs().Index, mac: l.Attrs().HardwareAddr, mtu: l.Attrs().MTU}
}

// find returns a link of the sandbox, and waits for one that the host is just making.
func (w *work) find(ctx context.Context, name string) (netlink.Link, error) {
	l, err := w.away.LinkByName(name)
	if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return l, wrap("find link "+name, err)
	}
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, fmt.Errorf("wait for link %s: %w", name, err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	deadline, _ := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	for {
		if l, err = w.away.LinkByName(name); !errors.As(err, new(netlink.LinkNotFoundError)) {
			return l, wrap("find link "+name, err)
		}
		left := time.Until(deadline)
		if left <= 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("the sandbox has no link %s: %w", name, errdefs.ErrNotFound)
		}
		t := unix.NsecToTimeval(left.Nanoseconds())
		if err := s.SetReceiveTimeout(&t); err != nil {
			return nil, fmt.Errorf("wait for link %s: %w", name, err)
		}
		if _, _, err := s.Receive(); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
			return nil, fmt.Errorf("wait for link %s: %w", name, err)
		}
	}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// tagged says the device that one tag of a trunk becomes.
var tagged = func(attrs netlink.LinkAttrs, tag uint32) netlink.Link {
	return &netlink.Vlan{LinkAttrs: attrs, VlanId: int(tag), VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
}

// addTagged makes the device of a tag right where it shall be; the trunk stays in the sandbox's namespace.
func (w *work) addTagged(ctx context.Context, f *iface) (*iface, error) {
	trunk, err := w.find(ctx, f.link)
	if err != nil {
		return nil, err
	}
	if trunk.Attrs().Flags&unix.IFF_UP == 0 {
		if err := w.away.LinkSetUp(trunk); err != nil {
			return nil, fmt.Errorf("set trunk %s up: %w", f.link, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = f.name, trunk.Attrs().Index, netlink.NsFd(w.file.Fd())
	if err := w.away.LinkAdd(tagged(attrs, f.tag)); err != nil {
		return nil, fmt.Errorf("add tag %d of trunk %s: %w", f.tag, f.link, err)
	}
	l, err := w.here.LinkByName(f.name)
	if err != nil {
		return nil, fmt.Errorf("find tag %d of trunk %s: %w", f.tag, f.link, err)
	}
	return f.found(l), nil
}

// remove takes an interface out of the container's namespace: a link goes back to the sandbox's, under its own name, and
// is down. One that the host has removed is gone.
func (w *work) remove(f *iface) error {
	err := w.removeLink(f)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	delete(w.ifaces, f.key)
	return nil
}

func (w *work) removeLink(f *iface) error {
	l := linkOf(f.index)
	if f.tag != 0 {
		return w.here.LinkDel(l)
	}
	if err := w.here.LinkSetDown(l); err != nil {
		return fmt.Errorf("set down: %w", err)
	}
	if err := w.flush(f); err != nil {
		return err
	}
	if err := w.here.LinkSetName(l, f.link); err != nil {
		return fmt.Errorf("rename to %s: %w", f.link, err)
	}
	if w.shared {
		return nil
	}
	if err := w.here.LinkSetNsFd(l, int(w.home.file.Fd())); err != nil {
		return fmt.Errorf("move back: %w", err)
	}
	return nil
}

// flush removes the addresses of a link that stays in the container's namespace. A move does it elsewhere.
func (w *work) flush(f *iface) error {
	if !w.shared {
		return nil
	}
	return w.setAddresses(f, &iface{key: f.key, index: f.index})
}

// restore removes all interfaces.
func (s *Space) restore() error {
	if len(s.ifaces) == 0 {
		return nil
	}
	w, err := s.begin()
	if err != nil {
		return err
	}
	defer w.end()
	var errs []error
	for _, f := range s.ifaces {
		if err := w.remove(f); err != nil {
			errs = append(errs, fmt.Errorf("remove interface %s: %w", f.name, err))
		}
	}
	return errors.Join(errs...)
}
