package netstack

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Port is where frames come and go.
type Port interface {
	// Receive says who takes the frames that come. A frame is valid during the call. Calls may overlap.
	Receive(deliver func(frame []byte))
	// Write sends a frame, which stays the caller's.
	Write(frame []byte) error
}

// LinkConfig is what a link is made of.
type LinkConfig struct {
	Port Port
	MAC  [6]byte // its own.
	MTU  uint32
	// Peer tells the MACs of a frame to an address: its destination and its source; ok false drops the packet. Without
	// it the link is point to point: its peer is whoever sent the latest frame.
	Peer func(addr netip.Addr) (destination, source [6]byte, ok bool)
	// Intercept sees each packet before the stack does. What it takes (returns true) the stack does not see. packet is
	// valid during the call.
	Intercept func(protocol tcpip.NetworkProtocolNumber, packet []byte) bool
}

// Link is the link layer of a stack at a Port.
type Link struct {
	cfg        LinkConfig
	mtu        atomic.Uint32
	peer       atomic.Pointer[[6]byte]
	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	dropped    atomic.Uint64

	mu      sync.Mutex
	onClose func()
}

var (
	_ stack.LinkEndpoint = (*Link)(nil)
	_ stack.GSOEndpoint  = (*Link)(nil)
)

// NewLink makes a link. It takes frames when a stack has it.
func NewLink(cfg LinkConfig) *Link {
	l := &Link{cfg: cfg}
	l.mtu.Store(cfg.MTU)
	return l
}

// Dropped counts the frames that were malformed, or for nobody known.
func (l *Link) Dropped() uint64 { return l.dropped.Load() }

func (l *Link) deliver(frame []byte) {
	d := l.dispatcher.Load()
	if d == nil {
		return
	}
	if len(frame) < VnetHeader+etherSize || len(frame) > maxFrame {
		l.dropped.Add(1)
		return
	}
	ether := frame[VnetHeader:]
	if l.cfg.Peer == nil {
		l.learn(ether[6:12])
	}
	protocol := tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(ether[12:]))
	packet := ether[etherSize:]
	if frame[1]&^segmentECN == segmentUDP {
		datagrams(packet, int(binary.LittleEndian.Uint16(frame[4:])), func(p []byte) { l.inject(*d, protocol, p) })
		return
	}
	l.inject(*d, protocol, packet)
}

func (l *Link) inject(d stack.NetworkDispatcher, protocol tcpip.NetworkProtocolNumber, packet []byte) {
	if l.cfg.Intercept != nil && l.cfg.Intercept(protocol, packet) {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	pkt.PktType = tcpip.PacketHost
	d.DeliverNetworkPacket(protocol, pkt)
	pkt.DecRef()
}

func (l *Link) learn(mac []byte) {
	if old := l.peer.Load(); old != nil && string(old[:]) == string(mac) {
		return
	}
	l.peer.Store((*[6]byte)(append([]byte(nil), mac...)))
}

// address fills in the MACs of a frame.
func (l *Link) address(ether, packet []byte) bool {
	if l.cfg.Peer == nil {
		p := l.peer.Load()
		if p == nil {
			return false
		}
		copy(ether, p[:])
		copy(ether[6:], l.cfg.MAC[:])
		return true
	}
	// The packet's own header says where it goes, also that of a reply that the stack makes by itself.
	var to netip.Addr
	switch p := binary.BigEndian.Uint16(ether[12:]); {
	case p == uint16(header.IPv4ProtocolNumber) && len(packet) >= header.IPv4MinimumSize:
		to = netip.AddrFrom4([4]byte(packet[16:20]))
	case p == uint16(header.IPv6ProtocolNumber) && len(packet) >= header.IPv6MinimumSize:
		to = netip.AddrFrom16([16]byte(packet[24:40]))
	default:
		return false
	}
	destination, source, ok := l.cfg.Peer(to)
	copy(ether, destination[:])
	copy(ether[6:], source[:])
	return ok
}

var frames = sync.Pool{New: func() any { b := make([]byte, maxFrame); return &b }}

// WritePackets implements stack.LinkWriter. What the port has no room for is lost, as on a wire.
func (l *Link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	for _, pkt := range pkts.AsSlice() {
		l.writePacket(*buf, pkt)
	}
	return pkts.Len(), nil
}

func (l *Link) writePacket(b []byte, pkt *stack.PacketBuffer) {
	if VnetHeader+pkt.Size() > len(b) || len(pkt.LinkHeader().Slice()) != etherSize {
		l.dropped.Add(1)
		return
	}
	putHeader(b, pkt)
	n := VnetHeader
	for _, s := range pkt.AsSlices() {
		n += copy(b[n:], s)
	}
	if !l.address(b[VnetHeader:VnetHeader+etherSize], b[VnetHeader+etherSize:n]) {
		l.dropped.Add(1)
		return
	}
	_ = l.cfg.Port.Write(b[:n]) // The port counts what it drops.
}

// WriteRaw sends an IP packet that the stack did not make.
func (l *Link) WriteRaw(protocol tcpip.NetworkProtocolNumber, packet []byte) {
	b := frames.Get().(*[]byte)
	defer frames.Put(b)
	clear((*b)[:VnetHeader])
	ether := (*b)[VnetHeader:]
	binary.BigEndian.PutUint16(ether[12:], uint16(protocol))
	if len(packet) > len(ether)-etherSize || !l.address(ether, packet) {
		l.dropped.Add(1)
		return
	}
	n := copy(ether[etherSize:], packet)
	_ = l.cfg.Port.Write((*b)[:VnetHeader+etherSize+n]) // The port counts what it drops.
}

// Attach implements stack.LinkEndpoint.
func (l *Link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		l.cfg.Port.Receive(func([]byte) {})
		return
	}
	l.dispatcher.Store(&d)
	l.cfg.Port.Receive(l.deliver)
}

// IsAttached implements stack.LinkEndpoint.
func (l *Link) IsAttached() bool { return l.dispatcher.Load() != nil }

// MTU implements stack.LinkEndpoint.
func (l *Link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements stack.LinkEndpoint.
func (l *Link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// MaxHeaderLength implements stack.LinkEndpoint.
func (*Link) MaxHeaderLength() uint16 { return etherSize }

// LinkAddress implements stack.LinkEndpoint.
func (l *Link) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(l.cfg.MAC[:]) }

// SetLinkAddress implements stack.LinkEndpoint. A link keeps the address that it was made with.
func (*Link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint. A frame from a kernel is right or has no checksum yet; one that a container
// forged harms its own connection alone.
func (*Link) Capabilities() stack.LinkEndpointCapabilities { return stack.CapabilityRXChecksumOffload }

// GSOMaxSize implements stack.GSOEndpoint.
func (*Link) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO implements stack.GSOEndpoint.
func (*Link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// ARPHardwareType implements stack.LinkEndpoint.
func (*Link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint. The destination is filled in when the packet is written.
func (l *Link) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(etherSize)).Encode(&header.EthernetFields{
		SrcAddr: l.LinkAddress(), DstAddr: pkt.EgressRoute.RemoteLinkAddress, Type: pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint. Packets are injected without an ethernet header.
func (*Link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Wait implements stack.LinkEndpoint. A link has no goroutine.
func (*Link) Wait() {}

// Close implements stack.LinkEndpoint.
func (l *Link) Close() {
	l.mu.Lock()
	f := l.onClose
	l.onClose = nil
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

// SetOnCloseAction implements stack.LinkEndpoint.
func (l *Link) SetOnCloseAction(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = f
}
