package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// ping tells whether an echo request is answered.
func (s *space) ping(to string, within time.Duration) error {
	ip := netip.MustParseAddr(to)
	network, listen, kind, answer, protocol := "ip4:icmp", "0.0.0.0", icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply), 1
	if ip.Is6() {
		network, listen, kind, answer, protocol = "ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58
	}
	var err error
	s.do(func() {
		var c *icmp.PacketConn
		if c, err = icmp.ListenPacket(network, listen); err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		message := icmp.Message{Type: kind, Body: &icmp.Echo{ID: 7, Seq: 1, Data: []byte("arca")}}
		b, _ := message.Marshal(nil)
		if _, err = c.WriteTo(b, &net.IPAddr{IP: ip.AsSlice()}); err != nil {
			return
		}
		err = c.SetReadDeadline(time.Now().Add(within))
		for err == nil {
			b := make([]byte, 1500)
			var n int
			var peer net.Addr
			if n, peer, err = c.ReadFrom(b); err != nil {
				return
			}
			if m, failed := icmp.ParseMessage(protocol, b[:n]); failed == nil && m.Type == answer && peer.String() == to {
				return
			}
		}
	})
	return err
}

func (s *space) reaches(to string) {
	s.t.Helper()
	eventually(s.t, 3*time.Second, func() error { return s.ping(to, 200*time.Millisecond) })
}

func (s *space) reachesNot(to string) {
	s.t.Helper()
	if err := s.ping(to, silence); err == nil {
		s.t.Errorf("%s is reached", to)
	}
}

// dials tells whether a connection is made, and by whose address its other end was reached.
func (s *space) dials(to string, within time.Duration) (err error) {
	s.do(func() {
		d := net.Dialer{Timeout: within}
		var c net.Conn
		if c, err = d.DialContext(context.Background(), "tcp", to); err == nil {
			err = c.Close()
		}
	})
	return err
}

// serves accepts connections and sends the address of each client to the channel.
func (s *space) serves(at string) chan string {
	s.t.Helper()
	clients := make(chan string, 16)
	s.do(func() {
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), "tcp", at)
		if err != nil {
			s.t.Error(err)
			return
		}
		s.t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				select {
				case clients <- host:
				default:
				}
				_ = c.Close()
			}
		}()
	})
	return clients
}

// answersNames is a resolver: it knows names below test., and a big one.
func (s *space) answersNames(at string) {
	s.t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if o := q.IsEdns0(); o != nil {
			m.SetEdns0(o.UDPSize(), o.Do())
		}
		count := 1
		if q.Question[0].Name == "big.test." {
			count = 60
		}
		for i := range count {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 7}, A: net.IPv4(198, 51, 100, byte(i+1))})
		}
		if w.LocalAddr().Network() == "udp" {
			m.Truncate(512)
		}
		_ = w.WriteMsg(m)
	})
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		server := &dns.Server{Addr: at, Net: network, Handler: handler, NotifyStartedFunc: func() { close(started) }}
		s.do(func() {
			var lc net.ListenConfig
			var err error
			if network == "udp" {
				server.PacketConn, err = lc.ListenPacket(context.Background(), network, at)
			} else {
				server.Listener, err = lc.Listen(context.Background(), network, at)
			}
			if err != nil {
				s.t.Error(err)
			}
		})
		go func() { _ = server.ActivateAndServe() }()
		<-started
		s.t.Cleanup(func() { _ = server.Shutdown() })
	}
}

func (s *space) asks(network, server, name string) (answer *dns.Msg, err error) {
	s.do(func() {
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeA)
		c := dns.Client{Net: network, Timeout: 5 * time.Second}
		answer, _, err = c.Exchange(q, net.JoinHostPort(server, "53"))
	})
	return answer, err
}

// site is a helper with networks whose containers are namespaces, and the world beyond the uplink.
type site struct {
	*helper
	world      *space
	containers map[int]*space
	state      *networkv1.State
}

func gatewayName(n *networkv1.Network) string { return "g" + n.Id[:12] }

func withGateway(n *networkv1.Network) *networkv1.Network {
	g := newPlace(int(n.Id[11]-'0'), 0, n.Subnets[0].Gateway)
	n.Gateway = &networkv1.Gateway{Link: gatewayName(n), Mac: g.mac, OvsTag: uint32(g.tag) + 1000, EndpointId: g.id}
	return n
}

func newSite(t *testing.T, networks ...*networkv1.Network) *site {
	t.Helper()
	s := &site{helper: startHelper(t), world: newSpace(t), containers: map[int]*space{}}
	s.ns.tap("ovs")
	pair(t, s.ns, "up", s.world, "w")
	s.world.address("w", "", "192.0.2.1/24", "2001:db8:ffff::1/64", "198.51.100.7/32")
	for i, n := range networks {
		c := newSpace(t)
		pair(t, s.ns, gatewayName(withGateway(n)), c, "eth0")
		c.address("eth0", n.Subnets[0].Gateway, fmt.Sprintf("10.9.%d.2/24", n.Id[11]-'0'))
		s.containers[i+1] = c
	}
	s.state = &networkv1.State{OvsLink: "ovs", Networks: networks,
		Uplink: &networkv1.Uplink{Link: "up", Address: "192.0.2.2/24", NextHop: "192.0.2.1", DnsAddress: "192.0.2.1", Address6: "2001:db8:ffff::2/64", NextHop6: "2001:db8:ffff::1"}}
	s.world.answersNames("192.0.2.1:53")
	s.resync()
	return s
}

func (s *site) resync() {
	s.t.Helper()
	s.eventually(20*time.Second, func() error {
		_, err := s.api.Resync(s.t.Context(), &networkv1.ResyncRequest{State: s.state})
		return err
	})
}

func (s *site) apply(n *networkv1.Network) {
	s.t.Helper()
	if _, err := s.api.ApplyNetworks(s.t.Context(), &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{n}}); err != nil {
		s.t.Fatal(err)
	}
}

func TestRouting(t *testing.T) {
	internal := func(n *networkv1.Network) { n.Internal = true }
	s := newSite(t, network(1), network(2), network(3, internal))
	one, two, inside := s.containers[1], s.containers[2], s.containers[3]

	one.reaches("10.9.1.1")
	two.reaches("10.9.2.1")
	inside.reaches("10.9.3.1")
	one.reaches("198.51.100.7")
	two.reaches("198.51.100.7")
	inside.reachesNot("198.51.100.7")
	inside.reachesNot("192.0.2.1")
	// From network to network never, nor to another one's gateway, nor to the helper's end of the uplink.
	for _, to := range []string{"10.9.2.2", "10.9.2.1", "10.9.3.2", "10.9.3.1", "192.0.2.2"} {
		one.reachesNot(to)
	}
	// The world does not get in, though it knows the way.
	s.world.do(func() {
		_, dst, _ := net.ParseCIDR("10.9.1.0/24")
		if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: net.ParseIP("192.0.2.2")}); err != nil {
			t.Error(err)
		}
	})
	s.world.reachesNot("10.9.1.2")
	s.world.reachesNot("10.9.1.1")
	s.world.reachesNot("192.0.2.2")

	// The world sees the helper's address, without masquerading the container's.
	clients := s.world.serves("198.51.100.7:80")
	if err := one.dials("198.51.100.7:80", time.Second); err != nil {
		t.Fatal(err)
	}
	if got := <-clients; got != "192.0.2.2" {
		t.Errorf("the world sees %s", got)
	}
	plain := s.state.Networks[0]
	plain.Masquerade = false
	s.apply(plain)
	if err := one.dials("198.51.100.7:80", time.Second); err != nil {
		t.Fatal(err)
	}
	if got := <-clients; got != "10.9.1.2" {
		t.Errorf("without masquerading the world sees %s", got)
	}
	// A gateway's address leads to the host, as it is the host's with dockerd; an internal network's does not.
	s.state.Uplink.HostAddress = "198.51.100.7"
	s.resync()
	if err := one.dials("10.9.1.1:80", time.Second); err != nil {
		t.Errorf("the host at the gateway: %v", err)
	} else {
		<-clients
	}
	if err := inside.dials("10.9.3.1:80", time.Second); err == nil {
		t.Error("an internal network reaches the host at its gateway")
	}
	if err := one.dials("10.9.2.1:80", time.Second); err == nil {
		t.Error("a network reaches the host at another one's gateway")
	}
	// A kernel uplink reaches networks, if it is told so; internal ones not even then.
	s.state.Uplink.ReachableNetworks = true
	s.resync()
	s.world.reaches("10.9.1.2")
	s.world.reachesNot("10.9.1.1")
	s.state.Uplink.ReachableNetworks = false
	s.resync()
	s.world.reachesNot("10.9.1.2")

	c, err := s.api.Counters(t.Context(), &networkv1.CountersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Counters["forwarded_packets"] == 0 || c.Counters["dropped_packets"] == 0 || c.Counters["networks"] != 3 {
		t.Errorf("counters: %v", c.Counters)
	}
}

func TestPolicyAtGateway(t *testing.T) {
	n := network(1, func(n *networkv1.Network) {
		n.Rules = []*networkv1.Rule{
			{Name: "web", Allow: true, Direction: networkv1.Rule_OUT, Protocol: "tcp", Destinations: []string{"198.51.100.0/24", "203.0.113.0/24", "198.51.100.7/32"}, PortFirst: 80, PortLast: 81},
			{Name: "rest", Direction: networkv1.Rule_OUT, Protocol: "tcp"},
		}
	})
	s := newSite(t, n)
	one := s.containers[1]
	for _, port := range []string{"80", "81", "82"} {
		s.world.serves("198.51.100.7:" + port)
		s.world.serves("192.0.2.1:" + port)
	}
	one.reaches("198.51.100.7") // icmp is not named.
	for to, allowed := range map[string]bool{"198.51.100.7:80": true, "198.51.100.7:81": true, "198.51.100.7:82": false, "192.0.2.1:80": false} {
		if err := one.dials(to, silence); (err == nil) != allowed {
			t.Errorf("dial %s: %v", to, err)
		}
	}
	n.Rules = n.Rules[1:]
	s.apply(n)
	if err := one.dials("198.51.100.7:80", silence); err == nil {
		t.Error("what is not allowed any more is")
	}
	n.Rules = nil
	s.apply(n)
	if err := one.dials("198.51.100.7:82", time.Second); err != nil {
		t.Errorf("without rules: %v", err)
	}
}

func TestNames(t *testing.T) {
	s := newSite(t, network(1), network(2), network(3, func(n *networkv1.Network) { n.Internal = true }))
	one, inside := s.containers[1], s.containers[3]
	for _, transport := range []string{"udp", "tcp"} {
		m, err := one.asks(transport, "10.9.1.1", "a.test.")
		if err != nil || len(m.Answer) != 1 {
			t.Fatalf("%s: %v, %v", transport, m, err)
		}
		big, err := one.asks(transport, "10.9.1.1", "big.test.")
		if err != nil || transport == "udp" && !big.Truncated || transport == "tcp" && len(big.Answer) != 60 {
			t.Fatalf("%s: %v, %v", transport, big, err)
		}
	}
	for _, server := range []string{"10.9.2.1", "192.0.2.2"} {
		if m, err := one.asksShortly(server); err == nil {
			t.Errorf("%s answers another network: %v", server, m)
		}
	}
	if m, err := inside.asksShortly("10.9.3.1"); err == nil {
		t.Errorf("an internal network is answered: %v", m)
	}
	// Nobody answers beyond the uplink: SERVFAIL comes in time.
	s.state.Uplink.DnsAddress = "192.0.2.99"
	s.resync()
	begun := time.Now()
	m, err := one.asks("udp", "10.9.1.1", "a.test.")
	if err != nil || m.Rcode != dns.RcodeServerFailure || time.Since(begun) > 5*time.Second {
		t.Errorf("after %v: %v, %v", time.Since(begun), m, err)
	}
}

func (s *space) asksShortly(server string) (answer *dns.Msg, err error) {
	s.do(func() {
		q := new(dns.Msg)
		q.SetQuestion("a.test.", dns.TypeA)
		c := dns.Client{Timeout: silence}
		answer, _, err = c.Exchange(q, net.JoinHostPort(server, "53"))
	})
	return answer, err
}

func TestIPv6(t *testing.T) {
	n := network(1, func(n *networkv1.Network) {
		n.Subnets = append(n.Subnets, &networkv1.Subnet{Cidr: "fd00:9:1::/64", Gateway: "fd00:9:1::1"})
	})
	other := network(2, func(n *networkv1.Network) {
		n.Subnets = append(n.Subnets, &networkv1.Subnet{Cidr: "fd00:9:2::/64", Gateway: "fd00:9:2::1"})
	})
	s := newSite(t, n, other)
	one := s.containers[1]
	one.address("eth0", "", "fd00:9:1::2/64")
	one.do(func() {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("fd00:9:1::1")}); err != nil {
			t.Error(err)
		}
	})
	one.reaches("fd00:9:1::1")
	one.reaches("2001:db8:ffff::1")
	for _, to := range []string{"fd00:9:2::1", "2001:db8:ffff::2"} {
		one.reachesNot(to)
	}
	if m, err := one.asks("udp", "fd00:9:1::1", "a.test."); err != nil || len(m.Answer) != 1 {
		t.Errorf("names over IPv6: %v, %v", m, err)
	}
}

func TestGatewayAppearsLater(t *testing.T) {
	s := newSite(t)
	n := withGateway(network(5))
	n.Mtu = 1400
	c := newSpace(t)
	applied := make(chan error, 1)
	go func() {
		_, err := s.api.ApplyNetworks(t.Context(), &networkv1.ApplyNetworksRequest{Networks: []*networkv1.Network{n}})
		applied <- err
	}()
	select {
	case err := <-applied:
		t.Fatalf("a network was applied without its interface: %v", err)
	case <-time.After(silence):
	}
	pair(t, s.ns, gatewayName(n), c, "eth0")
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	c.address("eth0", "10.9.5.1", "10.9.5.2/24")
	c.reaches("10.9.5.1")
	s.ns.do(func() {
		l, err := netlink.LinkByName(gatewayName(n))
		if err != nil {
			t.Error(err)
			return
		}
		if a := l.Attrs(); a.MTU != 1400 || a.HardwareAddr.String() != net.HardwareAddr(n.Gateway.Mac).String() {
			t.Errorf("the gateway has MTU %d and address %s", a.MTU, a.HardwareAddr)
		}
		// It is made anew, as by a worker that lost it.
		if err := netlink.LinkDel(l); err != nil {
			t.Error(err)
		}
	})
	eventually(t, 2*time.Second, func() error {
		if err := c.ping("10.9.5.1", 50*time.Millisecond); err == nil {
			return errors.New("a gateway without an interface answers")
		}
		return nil
	})
	pair(t, s.ns, gatewayName(n), c, "eth0")
	c.address("eth0", "10.9.5.1", "10.9.5.2/24")
	c.reaches("10.9.5.1")
	if _, err := s.api.RemoveNetworks(t.Context(), &networkv1.RemoveNetworksRequest{Ids: []string{n.Id}}); err != nil {
		t.Fatal(err)
	}
	c.reachesNot("10.9.5.1")
}
