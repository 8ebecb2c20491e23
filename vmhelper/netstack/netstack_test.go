package netstack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// cable joins two stacks. Frames are carried by a goroutine for each direction.
type cable struct {
	queue   chan []byte
	other   *cable
	deliver atomic.Pointer[func([]byte)]
}

func (c *cable) Receive(deliver func([]byte)) { c.deliver.Store(&deliver) }

func (c *cable) Write(frame []byte) error {
	select {
	case c.other.queue <- bytes.Clone(frame):
		return nil
	default:
		return errors.New("full")
	}
}

// pair is two stacks joined by a cable.
type pair struct {
	a, b   *stack.Stack
	la, lb *Link
}

var addrA, addrB = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")

func newPair(t *testing.T) *pair {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ca, cb := &cable{queue: make(chan []byte, 1000)}, &cable{queue: make(chan []byte, 1000)}
	ca.other, cb.other = cb, ca
	p := &pair{}
	for _, x := range []struct {
		s  **stack.Stack
		l  **Link
		c  *cable
		me byte
	}{{&p.a, &p.la, ca, 1}, {&p.b, &p.lb, cb, 2}} {
		s, err := New()
		if err != nil {
			t.Fatal(err)
		}
		mac := func(n byte) [6]byte { return [6]byte{2, 0, 0, 0, 0, n} }
		*x.s, *x.l = s, NewLink(LinkConfig{Port: x.c, MTU: 1500, Peer: func(netip.Addr) ([6]byte, [6]byte, bool) { return mac(3 - x.me), mac(x.me), true }})
		if err := AddNIC(s, 1, *x.l); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, c := range []*cable{ca, cb} {
		wg.Go(func() {
			for f := range c.queue {
				(*c.deliver.Load())(f)
			}
		})
	}
	t.Cleanup(func() {
		p.a.Destroy()
		p.b.Destroy()
		close(ca.queue)
		close(cb.queue)
		wg.Wait()
	})
	return p
}

// tcpPair is a connection of two sockets of the host.
func tcpPair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near.(*net.TCPConn), far.(*net.TCPConn)
}

// spliced is a client's socket that is spliced to a connection of stack a, and the other end of that in stack b.
func spliced(ctx context.Context, t *testing.T, p *pair) (client *net.TCPConn, server *gonet.TCPConn, done chan error) {
	t.Helper()
	l, err := gonet.ListenTCP(p.b, Full(1, netip.AddrPortFrom(addrB, 80)), header.IPv4ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	in, err := Dial(ctx, p.a, 1, netip.AddrPortFrom(addrA, 4000), netip.AddrPortFrom(addrB, 80))
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, host := tcpPair(t)
	done = make(chan error, 1)
	go func() { done <- Splice(ctx, host, in) }()
	return client, c.(*gonet.TCPConn), done
}

// TestSplice holds that both directions carry all bytes and end each by itself.
func TestSplice(t *testing.T) {
	p := newPair(t)
	client, server, done := spliced(t.Context(), t, p)
	data := make([]byte, 16<<20)
	_, _ = rand.Read(data)
	errs := make(chan error, 1)
	go func() {
		_, err := client.Write(data)
		errs <- errors.Join(err, client.CloseWrite())
	}()
	got, err := io.ReadAll(server)
	if err := errors.Join(err, <-errs); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes went in, %v", len(got), len(data), err)
	}
	go func() { // The client's half is closed; the other one still carries.
		_, err := server.Write(data)
		errs <- errors.Join(err, server.CloseWrite())
	}()
	got, err = io.ReadAll(client)
	if err := errors.Join(err, <-errs); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes came out, %v", len(got), len(data), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = server.Close()
}

// TestSpliceOfASlowClient holds that a client who does not read holds the server up and is not held in memory.
func TestSpliceOfASlowClient(t *testing.T) {
	p := newPair(t)
	client, server, done := spliced(t.Context(), t, p)
	_ = server.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := server.Write(make([]byte, 64<<20))
	if err == nil {
		t.Errorf("%d bytes went to a client who reads nothing", n)
	}
	go func() { _ = server.Close() }()
	got, err := io.Copy(io.Discard, client)
	if err != nil || got != int64(n) {
		t.Errorf("%d of %d bytes, %v", got, n, err)
	}
	_ = client.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSpliceEnds holds that a reset of one side resets the other, and that the context's end resets both.
func TestSpliceEnds(t *testing.T) {
	t.Run("the client resets", func(t *testing.T) {
		client, server, done := spliced(t.Context(), t, newPair(t))
		_ = client.SetLinger(0)
		_ = client.Close()
		if _, err := server.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the server read %v", err)
		}
		if err := <-done; !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		client, _, done := spliced(ctx, t, newPair(t))
		why := errors.New("enough")
		cancel(why)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client read %v", err)
		}
		if err := <-done; !errors.Is(err, why) {
			t.Error(err)
		}
	})
}

func TestDial(t *testing.T) {
	p := newPair(t)
	from, to := netip.AddrPortFrom(addrA, 4000), netip.AddrPortFrom(addrB, 81)
	if _, err := Dial(t.Context(), p.a, 1, from, to); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port where nobody listens: %v", err)
	}
	RemoveNIC(p.b, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, p.a, 1, from, to); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("somebody who does not answer: %v", err)
	}
}

// TestEnded holds that the end of a connection is told once, whether it comes by itself or too late.
func TestEnded(t *testing.T) {
	p := newPair(t)
	client, server, done := spliced(t.Context(), t, p)
	_, _ = client.Close(), server.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	l, err := gonet.ListenTCP(p.b, Full(1, netip.AddrPortFrom(addrB, 82)), header.IPv4ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := Dial(t.Context(), p.a, 1, netip.AddrPortFrom(addrA, 4001), netip.AddrPortFrom(addrB, 82))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // The server does not close its half.
	var told atomic.Int32
	ended := make(chan struct{})
	c.Ended(100*time.Millisecond, func() {
		if told.Add(1) == 1 {
			close(ended)
		}
	})
	<-ended
	c.Abort()
	if n := told.Load(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// superframe is several datagrams in one, as a kernel with USO makes it.
func superframe(v6 bool, payload []byte) []byte {
	size := header.IPv4MinimumSize
	if v6 {
		size = header.IPv6MinimumSize
	}
	b := make([]byte, size+header.UDPMinimumSize+len(payload))
	copy(b[size+header.UDPMinimumSize:], payload)
	header.UDP(b[size:]).Encode(&header.UDPFields{SrcPort: 1, DstPort: 2, Length: uint16(header.UDPMinimumSize + len(payload))})
	if v6 {
		header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(len(b) - size), TransportProtocol: header.UDPProtocolNumber, HopLimit: 64})
	} else {
		header.IPv4(b).Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber)})
	}
	return b
}

func TestDatagrams(t *testing.T) {
	payload := make([]byte, 2500)
	_, _ = rand.Read(payload)
	for _, v6 := range []bool{false, true} {
		var got []byte
		n := 0
		datagrams(superframe(v6, payload), 1000, func(p []byte) {
			n++
			udp := p[header.IPv4MinimumSize:]
			if v6 {
				if h := header.IPv6(p); !h.IsValid(len(p)) {
					t.Error("no IPv6 packet")
				}
				udp = p[header.IPv6MinimumSize:]
			} else if h := header.IPv4(p); !h.IsValid(len(p)) || int(h.TotalLength()) != len(p) {
				t.Error("no IPv4 packet")
			}
			if int(header.UDP(udp).Length()) != len(udp) {
				t.Errorf("a datagram of %d bytes says %d", len(udp), header.UDP(udp).Length())
			}
			got = append(got, udp[header.UDPMinimumSize:]...)
		})
		if n != 3 || !bytes.Equal(got, payload) {
			t.Errorf("%d datagrams with %d bytes", n, len(got))
		}
	}
}

// FuzzDeliver holds that no frame breaks the link or the stack.
func FuzzDeliver(f *testing.F) {
	frame := func(gso byte, protocol uint16, packet []byte) []byte {
		b := make([]byte, VnetHeader+etherSize, VnetHeader+etherSize+len(packet))
		b[1] = gso
		binary.LittleEndian.PutUint16(b[4:], 100)
		binary.BigEndian.PutUint16(b[VnetHeader+12:], protocol)
		return append(b, packet...)
	}
	f.Add(frame(segmentUDP, 0x0800, superframe(false, make([]byte, 300))))
	f.Add(frame(segmentUDP, 0x86dd, superframe(true, make([]byte, 300))))
	f.Add(frame(0, 0x0806, make([]byte, 28)))
	f.Add(frame(0, 0x0800, []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6}))
	f.Add([]byte{})
	s, err := New()
	if err != nil {
		f.Fatal(err)
	}
	c := &cable{queue: make(chan []byte), other: &cable{queue: make(chan []byte)}}
	l := NewLink(LinkConfig{Port: c, MTU: 1500})
	if err := AddNIC(s, 1, l); err != nil {
		f.Fatal(err)
	}
	s.SetTransportProtocolHandler(header.TCPProtocolNumber, func(stack.TransportEndpointID, *stack.PacketBuffer) bool { return true })
	f.Cleanup(s.Destroy)
	f.Fuzz(func(_ *testing.T, b []byte) { l.deliver(b) })
}
