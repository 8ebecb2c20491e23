package relay

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// The kinds of links between which everything has to pass.
var linkKinds = []struct {
	name    string
	options LinkOptions
	tag     uint16
}{
	{"tap", LinkOptions{VnetHeader: 12, Checksums: true, Segments: true}, 0},
	{"tap10", LinkOptions{VnetHeader: 10, Checksums: true, Segments: true}, 0},
	{"tap without segments", LinkOptions{VnetHeader: 12, Checksums: true}, 0},
	{"tap without offloads", LinkOptions{VnetHeader: 12}, 0},
	{"datagram", LinkOptions{}, 0},
	{"trunk", LinkOptions{Trunk: true}, 7},
	{"tap trunk", LinkOptions{Trunk: true, VnetHeader: 12, Checksums: true, Segments: true}, 9},
}

const mss = 1000

func TestEveryPairOfLinks(t *testing.T) {
	for _, from := range linkKinds {
		for _, to := range linkKinds {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				n := newNet(t)
				ea, eb := host(1), host(2)
				ea.Tag, eb.Tag = from.tag, to.tag
				a, b := n.endpoint(ea, from.options), n.endpoint(eb, to.options)
				exchange(t, from.options.Segments, func(f []byte) {
					if from.tag != 0 {
						f = shiftedTag(f, from.tag)
					}
					a.send(t, f)
				}, ea, b)
			})
		}
	}
}

func TestPortalToEveryLink(t *testing.T) {
	for _, to := range linkKinds {
		t.Run(to.name, func(t *testing.T) {
			n := newNet(t)
			g, eb := gatewayHost(1), host(2)
			eb.Tag = to.tag
			b := n.endpoint(eb, to.options)
			p := n.Portal(testNetwork)
			exchange(t, true, func(f []byte) {
				if err := p.Write(f); err != nil {
					t.Fatal(err)
				}
			}, g, b)
		})
	}
}

// shiftedTag puts a tag into a frame whose header points into it.
func shiftedTag(f []byte, tag uint16) []byte {
	f = tagged(f, tag)
	if f[0]&flagNeedsChecksum != 0 {
		for _, at := range []int{2, 6} {
			binary.LittleEndian.PutUint16(f[at:], binary.LittleEndian.Uint16(f[at:])+tagLen)
		}
	}
	return f
}

// exchange sends TCP and UDP over IPv4 and IPv6, complete and, if the sender may, partial, and large, and checks every
// byte and checksum at the receiver.
func exchange(t *testing.T, offloads bool, send func([]byte), from Endpoint, to *station) {
	for family := range 2 {
		for _, size := range []int{0, 1, 77, 1399} {
			payload := noise(size)
			send(tcp(from, to.Endpoint, family, payload, false, 0))
			wantPayload(t, to, payload, 20)
			send(udp(from, to.Endpoint, family, 1, 2, payload))
			wantPayload(t, to, payload, 8)
			if !offloads {
				continue
			}
			send(tcp(from, to.Endpoint, family, payload, true, 0))
			wantPayload(t, to, payload, 20)
			send(partialUDP(from, to.Endpoint, family, payload))
			wantPayload(t, to, payload, 8)
		}
		if offloads {
			for _, size := range []int{mss, mss + 1, 10*mss - 1, 60 * mss} {
				payload := noise(size)
				send(tcp(from, to.Endpoint, family, payload, true, mss))
				wantStream(t, to, payload)
			}
		}
	}
}

var random = rand.New(rand.NewPCG(3, 4))

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// arrivedAt gives what IP carries, after the checksum was completed if the link accepts partial ones.
func arrivedAt(t *testing.T, s *station) (header, []byte) {
	t.Helper()
	f := s.next(t)
	h := header(f[:headerLen])
	if s.Tag != 0 {
		if got := tagOf(t, f); got != s.Tag {
			t.Fatalf("tag %d, want %d", got, s.Tag)
		}
		f = tagged(f, 0)
		h = header(f[:headerLen])
		if h.shift(-tagLen) != carried {
			t.Fatalf("header does not fit the tag: %x", h)
		}
	}
	eth := f[headerLen:]
	if h.needsChecksum() {
		if !s.options.Checksums {
			t.Fatalf("a partial checksum arrived")
		}
		if h.segment() != segmentNone && !s.options.Segments {
			t.Fatalf("a large segment arrived")
		}
		if !h.check(len(eth)) {
			t.Fatalf("bad header %x", h)
		}
		if h.segment() != segmentNone {
			return h, eth[h.checksumStart():]
		}
		completeChecksum(h, eth)
	}
	return h, verify(t, eth)
}

func wantPayload(t *testing.T, s *station, want []byte, headers int) {
	t.Helper()
	if _, got := arrivedAt(t, s); !bytes.Equal(got[headers:], want) {
		t.Fatalf("got %d bytes %x, want %d bytes %x", len(got)-headers, got[headers:], len(want), want)
	}
}

// wantStream gathers a large segment, whole or cut.
func wantStream(t *testing.T, s *station, want []byte) {
	t.Helper()
	var got []byte
	sequence := uint32(0xfffffff0)
	for len(got) < len(want) {
		h, p := arrivedAt(t, s)
		if s := binary.BigEndian.Uint32(p[4:]); s != sequence {
			t.Fatalf("sequence %d, want %d", s, sequence)
		}
		if h.segment() == segmentNone && len(p) > 20+mss {
			t.Fatalf("a segment of %d bytes", len(p))
		}
		sequence += uint32(len(p) - 20)
		got = append(got, p[20:]...)
		if last := len(got) >= len(want); last != (p[13]&tcpPSH != 0) {
			t.Fatalf("PSH in the wrong segment: after %d of %d bytes", len(got), len(want))
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("the stream of %d bytes differs", len(want))
	}
}
