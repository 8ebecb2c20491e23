package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// inside runs f on a thread that is in the network namespace of path, and ends afterwards.
func inside(t testing.TB, path string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // Never unlocked.
		done <- func() error {
			ns, err := os.Open(path)
			if err != nil {
				return err
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// netns is the path of the sandbox's own network namespace.
func (s *sandbox) netns() string { return fmt.Sprintf("/proc/%d/ns/net", s.cmd.Process.Pid) }

// link gives the sandbox a link, whose other end is in outside (a path) under the same name, with the address.
func (s *sandbox) link(name string, outside string, address string) {
	s.t.Helper()
	inside(s.t, outside, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		ns, err := os.Open(s.netns())
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(ns.Fd())}); err != nil {
			return err
		}
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if address != "" {
			a, err := netlink.ParseAddr(address)
			if err != nil {
				return err
			}
			a.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(l, a); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(l)
	})
}

// outside makes a network namespace that lives as long as the test.
func outside(t testing.TB) string {
	t.Helper()
	hold := make(chan struct{})
	path := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread() // Never unlocked.
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			close(path)
			return
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			_ = netlink.LinkSetUp(lo)
		}
		path <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		<-hold
	}()
	p, ok := <-path
	if !ok {
		t.Fatal("no network namespace can be made")
	}
	t.Cleanup(func() { close(hold); <-done })
	return p
}

// upstream is a DNS server in a namespace, which knows example.com, and nothing else.
func upstream(t testing.TB, ns, address string) {
	t.Helper()
	inside(t, ns, func() error {
		handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			switch {
			case q.Question[0].Name != "example.com.":
				m.Rcode = dns.RcodeNameError
			case q.Question[0].Qtype == dns.TypeTXT: // More than fits in a datagram of 512 bytes.
				for i := range 40 {
					m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 5}, Txt: []string{strings.Repeat(fmt.Sprint(i%10), 100)}})
				}
				if w.LocalAddr().Network() == "udp" {
					m.Truncate(512)
				}
			case q.Question[0].Qtype == dns.TypeA:
				host, _, _ := net.SplitHostPort(w.RemoteAddr().String())
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.ParseIP(host)}}
			}
			_ = w.WriteMsg(m)
		})
		pc, err := net.ListenPacket("udp", net.JoinHostPort(address, "53"))
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", net.JoinHostPort(address, "53"))
		if err != nil {
			return err
		}
		for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
			done := make(chan struct{})
			go func() { defer close(done); _ = s.ActivateAndServe() }()
			t.Cleanup(func() { _ = s.Shutdown(); <-done })
		}
		return nil
	})
}

// ask asks the resolver of a container, from within its namespace.
func ask(t testing.TB, ns, network, name string, kind uint16) *dns.Msg {
	t.Helper()
	var out *dns.Msg
	inside(t, ns, func() error {
		c, err := net.Dial(network, "127.0.0.11:53")
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		q := new(dns.Msg).SetQuestion(name, kind)
		out, _, err = (&dns.Client{Timeout: 5 * time.Second, UDPSize: 65535}).ExchangeWithConn(q, &dns.Conn{Conn: c})
		return err
	})
	return out
}

func addresses(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		switch r := rr.(type) {
		case *dns.A:
			out = append(out, r.A.String())
		case *dns.AAAA:
			out = append(out, r.AAAA.String())
		case *dns.PTR:
			out = append(out, r.Ptr)
		}
	}
	slices.Sort(out)
	return out
}

// interfaces tells what a namespace has beside lo.
func interfaces(t testing.TB, ns string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	inside(t, ns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Attrs().Name == "lo" {
				continue
			}
			list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			out[l.Attrs().Name] = []string{}
			for _, a := range list {
				if !a.IP.IsLinkLocalUnicast() {
					out[l.Attrs().Name] = append(out[l.Attrs().Name], a.IPNet.String())
				}
			}
		}
		return nil
	})
	return out
}

func defaultRoutes(t testing.TB, ns string) []string {
	t.Helper()
	var out []string
	inside(t, ns, func() error {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			routes, err := netlink.RouteList(nil, family)
			if err != nil {
				return err
			}
			for _, r := range routes {
				if r.Gw == nil {
					continue
				}
				l, err := netlink.LinkByIndex(r.LinkIndex)
				if err != nil {
					return err
				}
				out = append(out, fmt.Sprintf("%s by %s at %s", r.Dst, r.Gw, l.Attrs().Name))
			}
		}
		return nil
	})
	return out
}

// pidns is the network namespace of the first process of a container.
func (s *sandbox) pidns(id string) string {
	s.t.Helper()
	return fmt.Sprintf("/proc/%d/root/run/netns/%s", s.cmd.Process.Pid, id)
}

func frontNetwork() *guestv1.NetworkConfig {
	return &guestv1.NetworkConfig{
		Interfaces: []*guestv1.Interface{{
			Link: "endpoint1", Name: "eth0", Mac: []byte{2, 0x42, 10, 9, 0, 2}, Mtu: 1400, Addresses: []string{"10.9.0.2/24", "fd00:9::2/64"},
			Gateway: "10.9.0.1", Gateway6: "fd00:9::1", Routes: []*guestv1.Route{{Destination: "10.77.0.0/16", NextHop: "10.9.0.3"}},
			Sysctls: []string{"net.ipv4.conf.IFNAME.log_martians=1"},
		}},
		Resolver: &guestv1.Resolver{Upstreams: []string{"10.9.0.1:53"}},
	}
}

func frontNames() *guestv1.NameTable {
	return &guestv1.NameTable{Generation: 3,
		Names:    []*guestv1.Name{{Name: "web", Addresses: []string{"10.9.0.2", "10.9.0.3", "fd00:9::2"}}, {Name: "web.front", Addresses: []string{"10.9.0.2"}}},
		Pointers: []*guestv1.Pointer{{Address: "10.9.0.2", Name: "web.front"}, {Address: "fd00:9::2", Name: "web.front"}}}
}

// TestNetwork runs two containers of one sandbox, of which the first gets the sandbox's namespace and the second its own.
func TestNetwork(t *testing.T) {
	first, second := randomID(), randomID()
	s := start(t, attachments(t, busybox(t), first, second)...)
	for i, id := range []string{first, second} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			out := outside(t)
			s.t = t
			s.link("endpoint1", out, "10.9.0.1/24")
			inside(t, out, func() error {
				l, err := netlink.LinkByName("endpoint1")
				if err != nil {
					return err
				}
				a, err := netlink.ParseAddr("fd00:9::1/64")
				if err != nil {
					return err
				}
				a.Flags = unix.IFA_F_NODAD
				return netlink.AddrAdd(l, a)
			})
			upstream(t, out, "10.9.0.1")
			req := request(t, id, "sleep", "1000")
			req.NetworkConfig, req.Names = frontNetwork(), frontNames()
			if _, err := s.agent.Start(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			ns := s.pidns(id)
			if got := interfaces(t, ns); len(got) != 1 || !slices.Equal(got["eth0"], []string{"10.9.0.2/24", "fd00:9::2/64"}) {
				t.Errorf("interfaces %v", got)
			}
			if got, want := defaultRoutes(t, ns), []string{"0.0.0.0/0 by 10.9.0.1 at eth0", "10.77.0.0/16 by 10.9.0.3 at eth0", "::/0 by fd00:9::1 at eth0"}; !slices.Equal(got, want) {
				t.Errorf("routes %q", got)
			}
			inside(t, ns, func() error {
				l, err := netlink.LinkByName("eth0")
				if err == nil && (l.Attrs().MTU != 1400 || l.Attrs().HardwareAddr.String() != "02:42:0a:09:00:02") {
					err = fmt.Errorf("MTU %d, hardware address %s", l.Attrs().MTU, l.Attrs().HardwareAddr)
				}
				return err
			})
			if o, _, _ := s.exec(id, "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"); o != "1\n" {
				t.Errorf("log_martians is %q", o)
			}
			for _, network := range []string{"udp", "tcp"} {
				checkNames(t, ns, network)
			}
			if _, err := s.agent.Signal(t.Context(), &guestv1.SignalRequest{ContainerId: id, Signal: 9}); err != nil {
				t.Fatal(err)
			}
			s.exit(id, "")
			s.output(id, "")
			s.acknowledge(id, "")
			if _, err := s.agent.Unmount(t.Context(), &guestv1.UnmountRequest{ContainerId: id}); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if got := interfaces(t, s.netns()); len(got) != 1 || got["endpoint1"] == nil || len(got["endpoint1"]) != 0 {
					t.Errorf("the sandbox has %v afterwards", got)
				}
				inside(t, s.netns(), func() error {
					l, err := netlink.LinkByName("endpoint1")
					if err != nil {
						return err
					}
					return netlink.LinkDel(l)
				})
			}
		})
	}
	s.t = t
}

func checkNames(t *testing.T, ns, network string) {
	t.Helper()
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  []string
	}{
		{"web.", dns.TypeA, 0, []string{"10.9.0.2", "10.9.0.3"}},
		{"WEB.", dns.TypeAAAA, 0, []string{"fd00:9::2"}},
		{"web.front.", dns.TypeAAAA, 0, nil},
		{"web.", dns.TypeMX, 0, nil},
		{"2.0.9.10.in-addr.arpa.", dns.TypePTR, 0, []string{"web.front."}},
		{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.0.0.0.0.0.d.f.ip6.arpa.", dns.TypePTR, 0, []string{"web.front."}},
		{"example.com.", dns.TypeA, 0, []string{"10.9.0.2"}}, // The upstream answers with who asked.
		{"nosuch.", dns.TypeA, dns.RcodeNameError, nil},
	} {
		m := ask(t, ns, network, c.name, c.kind)
		if m.Rcode != c.rcode || !slices.Equal(addresses(m), c.want) {
			t.Errorf("%s over %s: %s", c.name, network, m)
		}
	}
}

// TestNetworkFailure undoes what a start has made when it fails, in either kind of namespace.
func TestNetworkFailure(t *testing.T) {
	id, other := randomID(), randomID()
	s := start(t, attachments(t, busybox(t), id, other)...)
	for i := range 2 {
		s.link("endpoint1", outside(t), "10.9.0.1/24")
		req := request(t, id, "nosuch")
		req.NetworkConfig, req.Names = frontNetwork(), frontNames()
		if _, err := s.agent.Start(t.Context(), req); err == nil {
			t.Fatal("a program that is not there was started")
		}
		if got := interfaces(t, s.netns()); len(got) != 1 || got["endpoint1"] == nil || len(got["endpoint1"]) != 0 {
			t.Fatalf("round %d: the sandbox has %v after the failure", i, got)
		}
		req.NetworkConfig.Interfaces[0].Link = "nosuch"
		_, err := s.agent.Start(t.Context(), req)
		if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "the sandbox has no link nosuch") {
			t.Fatalf("a link that is not there: %v", err)
		}
		inside(t, s.netns(), func() error {
			l, err := netlink.LinkByName("endpoint1")
			if err != nil {
				return err
			}
			return netlink.LinkDel(l)
		})
		if i == 0 {
			s.launch(request(t, other, "sleep", "1000")) // It has the sandbox's namespace from now on.
		}
	}
}

// TestLateLink waits for a link that the host is just making.
func TestLateLink(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	req := request(t, id, "sleep", "1000")
	req.NetworkConfig = frontNetwork()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.agent.Start(ctx, req)
		done <- err
	}()
	time.Sleep(200 * time.Millisecond) // The start is waiting by now, or the test tests less.
	s.link("endpoint1", outside(t), "10.9.0.1/24")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestLiveNetwork connects and disconnects a running container.
func TestLiveNetwork(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprint("own ", own), func(t *testing.T) { liveNetwork(t, own) })
	}
}

func liveNetwork(t *testing.T, own bool) {
	id, other := randomID(), randomID()
	s := start(t, attachments(t, busybox(t), id, other)...)
	if own {
		s.launch(request(t, other, "sleep", "1000"))
	}
	req := request(t, id, "sleep", "1000")
	s.launch(req)
	ns := s.pidns(id)
	configure := func(c *guestv1.NetworkConfig) error {
		_, err := s.agent.ConfigureNetwork(t.Context(), &guestv1.ConfigureNetworkRequest{ContainerId: id, Config: c})
		return err
	}
	check := func(want map[string][]string, routes ...string) {
		t.Helper()
		got := interfaces(t, ns)
		if len(got) != len(want) {
			t.Fatalf("interfaces %v, expected %v", got, want)
		}
		for k, v := range want {
			if !slices.Equal(got[k], v) {
				t.Fatalf("interfaces %v, expected %v", got, want)
			}
		}
		if r := defaultRoutes(t, ns); !slices.Equal(r, routes) {
			t.Fatalf("routes %q, expected %q", r, routes)
		}
	}
	a := &guestv1.Interface{Link: "endpointA", Name: "eth0", Addresses: []string{"10.1.0.2/24"}, Gateway: "10.1.0.1"}
	b := &guestv1.Interface{Link: "endpointB", Name: "eth1", Addresses: []string{"10.2.0.2/24"}}
	s.link("endpointA", outside(t), "10.1.0.1/24")
	if err := configure(&guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{a}}); err != nil {
		t.Fatal(err)
	}
	check(map[string][]string{"eth0": {"10.1.0.2/24"}}, "0.0.0.0/0 by 10.1.0.1 at eth0")
	index := func(name string) (i int) {
		inside(t, ns, func() error {
			l, err := netlink.LinkByName(name)
			if err == nil {
				i = l.Attrs().Index
			}
			return err
		})
		return i
	}
	before := index("eth0")
	s.link("endpointB", outside(t), "10.2.0.1/24")
	for range 2 { // The second time changes nothing.
		if err := configure(&guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{a, b}, Resolver: &guestv1.Resolver{NoForward: true}}); err != nil {
			t.Fatal(err)
		}
		check(map[string][]string{"eth0": {"10.1.0.2/24"}, "eth1": {"10.2.0.2/24"}}, "0.0.0.0/0 by 10.1.0.1 at eth0")
	}
	if m := ask(t, ns, "udp", "db.", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Fatalf("an internal container was answered %s", m)
	}
	names := &guestv1.NameTable{Generation: 1, Names: []*guestv1.Name{{Name: "db", Addresses: []string{"10.2.0.9"}}}}
	for _, generation := range []uint64{1, 1, 0} { // Later ones are old.
		names.Generation = generation
		if _, err := s.agent.SetNames(t.Context(), &guestv1.SetNamesRequest{ContainerId: id, Names: names}); err != nil {
			t.Fatal(err)
		}
		if got := addresses(ask(t, ns, "udp", "db.", dns.TypeA)); !slices.Equal(got, []string{"10.2.0.9"}) {
			t.Fatalf("after SetNames: %q", got)
		}
		names = &guestv1.NameTable{Names: []*guestv1.Name{{Name: "db", Addresses: []string{"10.2.0.10"}}}}
	}
	// The default route moves, and the names change places.
	a.Gateway, b.Gateway, a.Name, b.Name = "", "10.2.0.1", "eth1", "eth0"
	a.Addresses = []string{"10.1.0.3/24", "fd00:1::3/64"}
	if err := configure(&guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{a, b}}); err != nil {
		t.Fatal(err)
	}
	check(map[string][]string{"eth1": {"10.1.0.3/24", "fd00:1::3/64"}, "eth0": {"10.2.0.2/24"}}, "0.0.0.0/0 by 10.2.0.1 at eth0")
	if index("eth1") != before {
		t.Fatal("an interface was made anew")
	}
	if err := configure(&guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{b}}); err != nil {
		t.Fatal(err)
	}
	left := map[string][]string{"eth0": {"10.2.0.2/24"}}
	if !own {
		left["endpointA"] = []string{}
	}
	check(left, "0.0.0.0/0 by 10.2.0.1 at eth0")
	if own {
		if got := interfaces(t, s.netns()); got["endpointA"] == nil {
			t.Fatalf("the sandbox has %v", got)
		}
	}
	b.Addresses = append(b.Addresses, netip.MustParsePrefix("10.3.0.1/24").String(), "10.400.0.1/24")
	if err := configure(&guestv1.NetworkConfig{Interfaces: []*guestv1.Interface{b}}); status.Code(err) != codes.InvalidArgument {
		t.Fatalf("a wrong address: %v", err)
	}
	check(left, "0.0.0.0/0 by 10.2.0.1 at eth0")
}

// TestNothingListensInContainers shows a container what it can reach of its sandbox, the namespace of which it has: its
// resolver, and nothing of the agent.
func TestNothingListensInContainers(t *testing.T) {
	id := randomID()
	s := start(t, attachments(t, busybox(t), id)...)
	s.link("endpoint1", outside(t), "10.9.0.1/24")
	req := request(t, id, "sleep", "1000")
	req.NetworkConfig, req.Names = frontNetwork(), frontNames()
	s.launch(req)
	o, e, code := s.exec(id, "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 /proc/net/raw | grep -v local_address; echo; cat /proc/net/unix; ls /proc/1/fd >/dev/null")
	inet, unixes, _ := strings.Cut(o, "\n\n")
	if code != 0 || e != "" || !strings.HasPrefix(unixes, "Num") {
		t.Fatalf("%q, %q, %d", o, e, code)
	}
	sockets := 0
	for line := range strings.Lines(inet) {
		if f := strings.Fields(line); len(f) < 2 || !strings.HasPrefix(f[1], "0B00007F:") {
			t.Errorf("a socket that is not the resolver's: %s", line)
		}
		sockets++
	}
	if sockets != 2 {
		t.Errorf("%d sockets, not the resolver's two", sockets)
	}
	for line := range strings.Lines(unixes) {
		if strings.Contains(line, "@") {
			t.Errorf("an abstract socket: %s", line)
		}
	}
}
