package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	gheader "gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	geth "gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	garp "gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	gtcp "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// impairment is what happens to frames on their way from a guest to its link.
type impairment struct {
	lose, swap int // of a thousand frames.
	delay      time.Duration
}

// guest is a TCP/IP stack behind a station.
func guest(t *testing.T, s *station, how impairment) *stack.Stack {
	t.Helper()
	link := channel.New(1024, 1500, tcpip.LinkAddress(s.MAC[:]))
	st := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, garp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{gtcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	if e := st.SetTransportProtocolOption(gtcp.ProtocolNumber, &sack); e != nil {
		t.Fatal(e)
	}
	if e := st.CreateNIC(1, geth.New(link)); e != nil {
		t.Fatal(e)
	}
	for i, a := range s.Addresses {
		pa := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()}
		pa.AddressWithPrefix.PrefixLen = 16
		if i == 1 {
			pa.Protocol, pa.AddressWithPrefix.PrefixLen = ipv6.ProtocolNumber, 64
		}
		if e := st.AddProtocolAddress(1, pa, stack.AddressProperties{}); e != nil {
			t.Fatal(e)
		}
	}
	st.SetRouteTable([]tcpip.Route{{Destination: gheader.IPv4EmptySubnet, NIC: 1}, {Destination: gheader.IPv6EmptySubnet, NIC: 1}})
	ctx, cancel := context.WithCancelCause(t.Context())
	var running sync.WaitGroup
	running.Go(func() { outgoing(ctx, link, s, how) })
	running.Go(func() { incoming(link, s) })
	t.Cleanup(func() {
		cancel(nil)
		_ = s.file.Close()
		st.Destroy()
		running.Wait()
	})
	return st
}

// outgoing loses, delays and swaps.
func outgoing(ctx context.Context, link *channel.Endpoint, s *station, how impairment) {
	r := rand.New(rand.NewPCG(uint64(s.MAC[5]), 8))
	var held []byte
	for {
		p := link.ReadContext(ctx)
		if p == nil {
			return
		}
		v := p.ToView()
		f := append([]byte{}, v.AsSlice()...)
		v.Release()
		p.DecRef()
		if r.IntN(1000) < how.lose {
			continue
		}
		if how.delay > 0 {
			time.Sleep(how.delay)
		}
		if held == nil && r.IntN(1000) < how.swap {
			held = f
			continue
		}
		_, _ = s.file.Write(f)
		if held != nil {
			_, _ = s.file.Write(held)
			held = nil
		}
	}
}

func incoming(link *channel.Endpoint, s *station) {
	buf := make([]byte, bufferLen)
	for {
		n, err := s.file.Read(buf)
		if err != nil {
			return
		}
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[:n])})
		link.InjectInbound(0, p)
		p.DecRef()
	}
}

// TestTransfersOverBadLinks has true TCP stacks talk through the relay: addresses are resolved, streams arrive whole.
func TestTransfersOverBadLinks(t *testing.T) {
	for name, how := range map[string]impairment{
		"good":       {},
		"lossy":      {lose: 20},
		"reordering": {swap: 100},
		"slow":       {delay: 100 * time.Microsecond},
		"all":        {lose: 10, swap: 50, delay: 20 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t)
			n.ovs() // Nobody reads it: its queue fills and must not matter.
			a, b := n.endpoint(host(1)), n.endpoint(host(2))
			client, server := guest(t, a, how), guest(t, b, how)
			for family, protocol := range []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber, ipv6.ProtocolNumber} {
				to := tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(b.Addresses[family].AsSlice()), Port: 80}
				transfer(t, client, server, to, protocol)
			}
		})
	}
}

func transfer(t *testing.T, client, server *stack.Stack, to tcpip.FullAddress, protocol tcpip.NetworkProtocolNumber) {
	t.Helper()
	l, err := gonet.ListenTCP(server, to, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	echoed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			err = errors.Join(err, c.Close())
		}
		echoed <- err
	}()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 60*time.Second, errors.New("the transfer takes too long"))
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, client, to, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	want := noise(512 << 10)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(net.Conn(c))
	if err := errors.Join(err, <-sent, <-echoed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back of %d", len(got), len(want))
	}
}
