package publish

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// oobSize is enough for one packet information of either family.
const oobSize = 64

// localAddress is the address of this machine that a client spoke to: the answer comes from there.
type localAddress struct{ addr netip.Addr }

// prepareUDP asks for the local address of each datagram.
func prepareUDP(c *net.UDPConn, four bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		if four {
			serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		} else {
			serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	}); err != nil {
		return err
	}
	return serr
}

func parseLocal(oob []byte) localAddress {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return localAddress{netip.AddrFrom4([4]byte(data[4:8]))} // Spec_dst.
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a := netip.AddrFrom16([16]byte(data[:16]))
			if a.IsLinkLocalUnicast() || a.IsMulticast() {
				return localAddress{} // The system knows the interface better.
			}
			return localAddress{a}
		}
	}
	return localAddress{}
}

// oob makes an answer come from the address.
func (l localAddress) oob() []byte {
	switch {
	case !l.addr.IsValid():
		return nil
	case l.addr.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: l.addr.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: l.addr.As16()})
}
