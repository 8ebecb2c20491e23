package uplink

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/arca-engine/arca/vmhelper/netstack"
)

// nic is the one interface of the stack.
const nic tcpip.NICID = 1

// ownMAC is that of this end, locally administered.
var ownMAC = [6]byte{0x02, 0xa2, 0xca, 0, 0, 0x01}

// end is where the uplink ends, for one link and its addresses.
type end struct {
	settings  atomic.Pointer[Settings]
	wire      Wire
	link      *netstack.Link
	stack     *stack.Stack
	log       hclog.Logger
	counters  counters
	host      hostNets
	resolvers resolvers
	conns     places // of TCP connections.
	flows     udpFlows
	pings     pings
	queries   chan struct{} // a place for each query that is under way.

	ctx    context.Context // of everything that runs here.
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	over bool
	wg   sync.WaitGroup
}

func newEnd(ctx context.Context, cfg Config, s *Settings) (*end, error) {
	e := &end{wire: cfg.Wire(s.Link), log: cfg.Log, queries: make(chan struct{}, maxQueries)}
	e.conns = places{limit: maxConns, each: maxSourceConns}
	e.flows.all, e.pings.all = map[flowKey]*udpFlow{}, map[pingKey]*ping{}
	e.settings.Store(s)
	e.ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	var err error
	if e.stack, err = netstack.New(); err != nil {
		e.wire.Release()
		return nil, err
	}
	e.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(e.stack, 0, maxHalfOpen, e.connect).HandlePacket)
	e.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(e.stack, e.datagram).HandlePacket)
	e.link = netstack.NewLink(netstack.LinkConfig{Port: e.wire, MAC: ownMAC, MTU: s.MTU, Intercept: e.intercept})
	err = netstack.AddNIC(e.stack, nic, e.link)
	for _, a := range []netip.Addr{s.Address, s.Address6} {
		if err == nil && a.IsValid() {
			err = netstack.Error(e.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{
				Protocol: netstack.Protocol(a), AddressWithPrefix: netstack.Address(a).WithPrefix(),
			}, stack.AddressProperties{}))
		}
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("make stack: %w", err)
	}
	return e, nil
}

// begin counts one more goroutine, unless the end is over.
func (e *end) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return false
	}
	e.wg.Add(1)
	return true
}

// close ends everything and waits.
func (e *end) close() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.cancel(errStopped)
	e.wire.Receive(func([]byte) {})
	e.flows.close()
	e.pings.close()
	e.stack.Close() // Those who wait for the stack wait no more.
	e.wg.Wait()
	e.stack.Wait()
	e.wire.Release()
}

// intercept takes what the stack must not see: it would answer for every address.
func (e *end) intercept(protocol tcpip.NetworkProtocolNumber, packet []byte) bool {
	s := e.settings.Load()
	switch protocol {
	case header.ARPProtocolNumber:
		return !header.ARP(packet).IsValid() || !s.here(header.ARP(packet).ProtocolAddressTarget())
	case header.IPv4ProtocolNumber:
		return e.intercept4(s, packet)
	case header.IPv6ProtocolNumber:
		return e.intercept6(s, packet)
	}
	return true
}

// here tells whether an address is one of this end, whose MAC is asked for.
func (s *Settings) here(b []byte) bool {
	a, ok := netip.AddrFromSlice(b)
	return ok && (a == s.Address || a == s.Address6 || a == s.DNS || a == s.Host)
}

func (e *end) intercept4(s *Settings, packet []byte) bool {
	h := header.IPv4(packet)
	if !h.IsValid(len(packet)) {
		return true
	}
	to := netip.AddrFrom4(h.DestinationAddress().As4())
	if to.IsMulticast() || to == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	if h.TransportProtocol() != header.ICMPv4ProtocolNumber || to == s.Address || to == s.DNS {
		return false
	}
	m := header.ICMPv4(h.Payload())
	if h.More() || h.FragmentOffset() != 0 || len(m) < header.ICMPv4MinimumSize {
		e.counters.add(&e.counters.icmp)
		return true
	}
	if m.Type() != header.ICMPv4Echo {
		return false
	}
	e.echo(netip.AddrFrom4(h.SourceAddress().As4()), to, m.Ident(), m)
	return true
}

func (e *end) intercept6(s *Settings, packet []byte) bool {
	h := header.IPv6(packet)
	if !s.Helper6.IsValid() || !h.IsValid(len(packet)) {
		return true
	}
	to := netip.AddrFrom16(h.DestinationAddress().As16())
	if h.TransportProtocol() != header.ICMPv6ProtocolNumber {
		return to.IsMulticast()
	}
	m := header.ICMPv6(h.Payload())
	if len(m) < header.ICMPv6MinimumSize {
		return true
	}
	switch m.Type() {
	case header.ICMPv6NeighborSolicit:
		return len(m) < header.ICMPv6NeighborSolicitMinimumSize || !s.here(m[8:24])
	case header.ICMPv6EchoRequest:
		if to == s.Address6 || to == s.DNS {
			return false
		}
		if !to.IsMulticast() {
			e.echo(netip.AddrFrom16(h.SourceAddress().As16()), to, m.Ident(), m)
		}
		return true
	case header.ICMPv6PacketTooBig, header.ICMPv6DstUnreachable, header.ICMPv6TimeExceeded, header.ICMPv6ParamProblem:
		return to.IsMulticast()
	}
	return true
}
