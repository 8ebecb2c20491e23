package netstack

import (
	"encoding/binary"
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
	// Peer tells the MAC behind an address; ok false drops the packet. Without it the link is point to point: its peer
	// is whoever sent the latest frame.
	Peer func(addr tcpip.Address) (mac [6]byte, ok bool)
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

// destination tells whom a packet goes to.
func (l *Link) destination(pkt *stack.PacketBuffer) (mac [6]byte, ok bool) {
	if m := pkt.EgressRoute.RemoteLinkAddress; len(m) == 6 {
		copy(mac[:], m)
		return mac, true
	}
	if l.cfg.Peer == nil {
		if p := l.peer.Load(); p != nil {
			return *p, true
		}
		return mac, false
	}
	// The packet's own header says where it goes, also for the replies that the stack makes by itself.
	switch h := pkt.NetworkHeader().Slice(); {
	case pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber && len(h) >= header.IPv4MinimumSize:
		return l.cfg.Peer(header.IPv4(h).DestinationAddress())
	case pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber && len(h) >= header.IPv6MinimumSize:
		return l.cfg.Peer(header.IPv6(h).DestinationAddress())
	}
	return mac, false
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
	mac, ok := l.destination(pkt)
	if !ok || VnetHeader+pkt.Size() > len(b) || len(pkt.LinkHeader().Slice()) != etherSize {
		l.dropped.Add(1)
		return
	}
	putHeader(b, pkt)
	n := VnetHeader
	for _, s := range pkt.AsSlices() {
		n += copy(b[n:], s)
	}
	copy(b[VnetHeader:], mac[:])
	_ = l.cfg.Port.Write(b[:n]) // The port counts what it drops.
}

// WriteRaw sends an IP packet that the stack did not make.
func (l *Link) WriteRaw(protocol tcpip.NetworkProtocolNumber, dst tcpip.Address, packet []byte) {
	var mac [6]byte
	ok := false
	if l.cfg.Peer != nil {
		mac, ok = l.cfg.Peer(dst)
	} else if p := l.peer.Load(); p != nil {
		mac, ok = *p, true
	}
	if !ok || VnetHeader+etherSize+len(packet) > maxFrame {
		l.dropped.Add(1)
		return
	}
	b := frames.Get().(*[]byte)
	defer frames.Put(b)
	clear((*b)[:VnetHeader])
	e := (*b)[VnetHeader:]
	copy(e, mac[:])
	copy(e[6:], l.cfg.MAC[:])
	binary.BigEndian.PutUint16(e[12:], uint16(protocol))
	n := copy(e[etherSize:], packet)
	_ = l.cfg.Port.Write((*b)[:VnetHeader+etherSize+n]) // The port counts what it drops.
}

// Attach implements stack.LinkEndpoint.
func (l *Link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		l.cfg.Port.Receive(nil)
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
