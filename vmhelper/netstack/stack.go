package netstack

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Sizes of TCP's buffers: a connection holds at most twice the largest.
const (
	minBuffer     = 16 << 10
	defaultBuffer = 512 << 10
	maxBuffer     = 2 << 20
)

// timeWait is how long the stack remembers a connection that it closed first. The peer is one hop away.
const timeWait = 5 * time.Second

// New makes a stack for links: TCP and UDP over IPv4 and IPv6.
func New() (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		HandleLocal:        false,
	})
	sack, moderate, delay := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true), tcpip.TCPDelayEnabled(false)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: minBuffer, Default: defaultBuffer, Max: maxBuffer}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: minBuffer, Default: defaultBuffer, Max: maxBuffer}
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &delay, &send, &receive, &wait} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			s.Destroy()
			return nil, fmt.Errorf("make stack: set %T: %w", o, Error(err))
		}
	}
	return s, nil
}

// AddNIC gives a link to s. It takes packets for every address and sends from every address; all goes out by it.
func AddNIC(s *stack.Stack, id tcpip.NICID, l *Link) error {
	for _, f := range []func() tcpip.Error{
		func() tcpip.Error { return s.CreateNIC(id, l) },
		func() tcpip.Error { return s.SetPromiscuousMode(id, true) },
		func() tcpip.Error { return s.SetSpoofing(id, true) },
	} {
		if err := f(); err != nil {
			return fmt.Errorf("add interface to stack: %w", Error(err))
		}
	}
	s.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: id})
	s.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: id})
	return nil
}

// RemoveNIC takes a link away from s.
func RemoveNIC(s *stack.Stack, id tcpip.NICID) {
	s.RemoveRoutes(func(r tcpip.Route) bool { return r.NIC == id })
	_ = s.RemoveNIC(id) // It is gone already, else.
}

// Address converts a netip.Addr.
func Address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.Unmap().AsSlice()) }

// AddrPort converts an address of the stack.
func AddrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}

// Protocol tells the network protocol of an address.
func Protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Unmap().Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// Full converts an address with a port on a NIC.
func Full(id tcpip.NICID, a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: id, Addr: Address(a.Addr()), Port: a.Port()}
}

// stackError is an error of the stack.
type stackError struct{ err tcpip.Error }

func (e stackError) Error() string { return e.err.String() }

// Error makes an error of one of the stack, as the system's where there is one.
func Error(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	if e := systemError(err); e != 0 {
		return e
	}
	return stackError{err}
}

// errShort is returned for a read that yields less than the socket had announced.
var errShort = errors.New("a socket gave less than it had announced")
