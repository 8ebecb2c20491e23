package relay

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// testNet is one network of a relay whose links are socket pairs.
type testNet struct {
	*Relay
	t testing.TB
}

// station is the far end of a link: what a guest is.
type station struct {
	Endpoint
	options LinkOptions
	file    *os.File
}

const testNetwork = "net"

func newNet(t testing.TB, changes ...func(*Network)) *testNet {
	t.Helper()
	return newNetOf(t, Config{}, changes...)
}

func newNetOf(t testing.TB, cfg Config, changes ...func(*Network)) *testNet {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	r := New(cfg)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, ignore)
	})
	n := Network{ID: testNetwork, Generation: 1, Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/64")}}
	for _, c := range changes {
		c(&n)
	}
	if err := r.Change(Change{Networks: []Network{n}}); err != nil {
		t.Fatal(err)
	}
	return &testNet{Relay: r, t: t}
}

// host is the endpoint with that number.
func host(i int) Endpoint {
	return Endpoint{
		ID: fmt.Sprintf("e%d", i), Generation: 1, Network: testNetwork, Link: LinkKey{fmt.Sprintf("s%d", i), "l"}, OVSTag: uint16(i),
		MAC: [6]byte{2, 0, 0, 0, byte(i >> 8), byte(i)},
		Addresses: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}),
			netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)}),
		},
	}
}

func gatewayHost(i int) Endpoint {
	e := host(i)
	e.Gateway = true
	return e
}

// endpoint adds an endpoint with a plain datagram link, or one with options.
func (n *testNet) endpoint(e Endpoint, options ...LinkOptions) *station {
	n.t.Helper()
	if err := n.Change(Change{Endpoints: []Endpoint{e}}); err != nil {
		n.t.Fatal(err)
	}
	s := n.station(e.Link, options...)
	s.Endpoint = e
	return s
}

// ovs adds the trunk of OVS.
func (n *testNet) ovs() *station {
	n.t.Helper()
	key := LinkKey{"helper", "ovs"}
	if err := n.Change(Change{OVS: &key}); err != nil {
		n.t.Fatal(err)
	}
	return n.station(key, LinkOptions{Trunk: true})
}

func (n *testNet) station(key LinkKey, options ...LinkOptions) *station {
	n.t.Helper()
	s := new(station)
	if len(options) > 0 {
		s.options = options[0]
	}
	near, far := pair(n.t)
	s.file = far
	n.t.Cleanup(func() { _ = far.Close() })
	if err := n.Attach(key, near, s.options); err != nil {
		n.t.Fatal(err)
	}
	return s
}

func pair(t testing.TB) (a, b *os.File) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	}
	return os.NewFile(uintptr(p[0]), "near"), os.NewFile(uintptr(p[1]), "far")
}

// send sends a frame of the form headerLen + Ethernet, as the link has it.
func (s *station) send(t testing.TB, frame []byte) {
	t.Helper()
	if s.options.VnetHeader == 10 { // It lacks the last two bytes.
		short := append([]byte{0, 0}, frame[:10]...)
		frame = append(short, frame[headerLen:]...)
	}
	if _, err := s.file.Write(frame[headerLen-s.options.VnetHeader:]); err != nil {
		t.Fatal(err)
	}
}

// receive gives the next frame in the form headerLen + Ethernet.
func (s *station) receive(t testing.TB, buf []byte) []byte {
	t.Helper()
	clear(buf[:headerLen])
	n, err := s.file.Read(buf[headerLen-s.options.VnetHeader:])
	if err != nil {
		t.Fatal(err)
	}
	if s.options.VnetHeader == 10 {
		copy(buf, buf[2:headerLen])
		buf[10], buf[11] = 0, 0
	}
	return buf[:n+headerLen-s.options.VnetHeader]
}

// next is receive with a limit in time.
func (s *station) next(t testing.TB) []byte {
	t.Helper()
	if err := s.file.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s.receive(t, make([]byte, bufferLen))
}

// silent fails when something arrives soon.
func (s *station) silent(t testing.TB) {
	t.Helper()
	if err := s.file.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, bufferLen)
	if n, err := s.file.Read(buf); err == nil {
		t.Fatalf("unexpected frame: %x", buf[:n])
	}
}

// dropped waits until the relay has counted n frames of a cause.
func (n *testNet) dropped(t testing.TB, name string, want uint64) {
	t.Helper()
	limit := time.Now().Add(5 * time.Second)
	for {
		_, own := n.Counters()
		if own[name] == want {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s = %d, want %d; all: %v", name, own[name], want, own)
		}
		time.Sleep(time.Millisecond)
	}
}

// Frames, each behind an empty header.

func ethernet(dst, src [6]byte, kind uint16, body ...[]byte) []byte {
	f := make([]byte, headerLen, 2048)
	f = append(f, dst[:]...)
	f = append(f, src[:]...)
	f = binary.BigEndian.AppendUint16(f, kind)
	for _, b := range body {
		f = append(f, b...)
	}
	return f
}

func ip4(src, dst netip.Addr, protocol uint8, payload []byte) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^slowSum(h))
	return append(h, payload...)
}

func ip6(src, dst netip.Addr, protocol uint8, payload []byte) []byte {
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, protocol, 255
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, payload...)
}

// pseudoHeader is that of RFC 768, 793 and 8200.
func pseudoHeader(src, dst netip.Addr, protocol uint8, length int) []byte {
	p := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		p = append(p, 0, protocol)
		return binary.BigEndian.AppendUint16(p, uint16(length))
	}
	p = binary.BigEndian.AppendUint32(p, uint32(length))
	return append(p, 0, 0, 0, protocol)
}

// slowSum is the one's complement sum as RFC 1071 has it.
func slowSum(b []byte) uint16 {
	var acc uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		acc += w
		acc = acc&0xffff + acc>>16
	}
	return uint16(acc)
}

func packet(src, dst netip.Addr, protocol uint8, payload []byte) (uint16, []byte) {
	if src.Is4() {
		return typeIPv4, ip4(src, dst, protocol, payload)
	}
	return typeIPv6, ip6(src, dst, protocol, payload)
}

func udpDatagram(src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	u := make([]byte, 8)
	binary.BigEndian.PutUint16(u, sport)
	binary.BigEndian.PutUint16(u[2:], dport)
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	u = append(u, payload...)
	binary.BigEndian.PutUint16(u[6:], ^slowSum(append(pseudoHeader(src, dst, protoUDP, len(u)), u...)))
	return u
}

func udp(src, dst Endpoint, family int, sport, dport uint16, payload []byte) []byte {
	a, b := src.Addresses[family], dst.Addresses[family]
	kind, p := packet(a, b, protoUDP, udpDatagram(a, b, sport, dport, payload))
	return ethernet(dst.MAC, src.MAC, kind, p)
}

func udp4(src, dst Endpoint, sport, dport uint16, payload []byte) []byte {
	return udp(src, dst, 0, sport, dport, payload)
}

// verify fails unless the checksums of an Ethernet frame are right, and gives what IP carries.
func verify(t testing.TB, eth []byte) []byte {
	t.Helper()
	p := eth[ethLen:]
	var src, dst netip.Addr
	var protocol uint8
	var payload []byte
	switch etherType(eth) {
	case typeIPv4:
		if slowSum(p[:20]) != 0xffff {
			t.Fatalf("IPv4 header's checksum is wrong: %x", p[:20])
		}
		src, dst, protocol = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[9]
		payload = p[20:binary.BigEndian.Uint16(p[2:])]
	case typeIPv6:
		src, dst, protocol = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[6]
		payload = p[40 : 40+int(binary.BigEndian.Uint16(p[4:]))]
	default:
		t.Fatalf("no IP: %x", eth[:ethLen])
	}
	if got := slowSum(append(pseudoHeader(src, dst, protocol, len(payload)), payload...)); got != 0xffff {
		t.Fatalf("checksum of protocol %d is wrong: sum %#x", protocol, got)
	}
	return payload
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// tcpSegment has a right checksum unless partial: then it holds the sum of the pseudo header, as NEEDS_CSUM wants it.
func tcpSegment(src, dst netip.Addr, flags byte, payload []byte, partial bool) []byte {
	h := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(h, 1000)
	binary.BigEndian.PutUint16(h[2:], 2000)
	binary.BigEndian.PutUint32(h[4:], 0xfffffff0) // Wraps soon.
	h[12], h[13] = 5<<4, flags
	h = append(h, payload...)
	checksumInto(h, 16, src, dst, protoTCP, partial)
	return h
}

func checksumInto(segment []byte, at int, src, dst netip.Addr, protocol uint8, partial bool) {
	p := pseudoHeader(src, dst, protocol, len(segment))
	if partial {
		binary.BigEndian.PutUint16(segment[at:], slowSum(p))
		return
	}
	binary.BigEndian.PutUint16(segment[at:], ^slowSum(append(p, segment...)))
}

// tcp is a frame with one TCP segment; size > 0: to be cut into segments of that size.
func tcp(src, dst Endpoint, family int, payload []byte, partial bool, size int) []byte {
	a, b := src.Addresses[family], dst.Addresses[family]
	kind, p := packet(a, b, protoTCP, tcpSegment(a, b, tcpPSH|0x10, payload, partial))
	f := ethernet(dst.MAC, src.MAC, kind, p)
	if partial {
		offload(f, family, 16)
	}
	if size > 0 {
		f[1] = []byte{segmentTCPv4, segmentTCPv6}[family]
		binary.LittleEndian.PutUint16(f[4:], uint16(size))
	}
	return f
}

// offload says in the header that the checksum at an offset of what IP carries is to be completed.
func offload(f []byte, family, offset int) {
	start := ethLen + []int{20, 40}[family]
	f[0] = flagNeedsChecksum
	binary.LittleEndian.PutUint16(f[2:], uint16(start+20))
	binary.LittleEndian.PutUint16(f[6:], uint16(start))
	binary.LittleEndian.PutUint16(f[8:], uint16(offset))
}

// partialUDP is udp with a checksum that is to be completed.
func partialUDP(src, dst Endpoint, family int, payload []byte) []byte {
	f := udp(src, dst, family, 1000, 2000, payload)
	offload(f, family, 6)
	at := headerLen + ethLen + []int{20, 40}[family]
	checksumInto(f[at:], 6, src.Addresses[family], dst.Addresses[family], protoUDP, true)
	return f
}

// tagged puts a tag into a frame, or takes it out when tag is 0.
func tagged(f []byte, tag uint16) []byte {
	if tag == 0 {
		return append(append([]byte{}, f[:headerLen+12]...), f[headerLen+16:]...)
	}
	out := append([]byte{}, f[:headerLen+12]...)
	out = binary.BigEndian.AppendUint16(out, typeVLAN)
	out = binary.BigEndian.AppendUint16(out, tag)
	return append(out, f[headerLen+12:]...)
}

func tagOf(t testing.TB, f []byte) uint16 {
	t.Helper()
	if etherType(f[headerLen:]) != typeVLAN {
		t.Fatalf("no tag: %x", f[:headerLen+20])
	}
	return binary.BigEndian.Uint16(f[headerLen+14:])
}

func ap(e Endpoint, family int, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(e.Addresses[family], port)
}
