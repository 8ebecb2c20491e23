package relay

import (
	"testing"
)

// BenchmarkForward is the way of a frame between two datagram links, system calls included.
func BenchmarkForward(b *testing.B) {
	n := newNet(b)
	a, c := n.endpoint(host(1)), n.endpoint(host(2))
	frame := udp4(a.Endpoint, c.Endpoint, 1000, 2000, make([]byte, 1400))
	buf := make([]byte, 2048)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		a.send(b, frame)
		c.receive(b, buf)
	}
}
