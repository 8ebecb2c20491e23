package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/arca-engine/arca/vmhelper/relay"
	"github.com/arca-engine/arca/vmhelper/uplink"
)

// outpost is a plane with the helper's uplink, from which a space looks out.
type outpost struct {
	*town
	helper *space
}

func newOutpost(t testing.TB) *outpost {
	t.Helper()
	o := &outpost{town: newTown(t), helper: newSpace(t)}
	tap := o.helper.tap("up", net.HardwareAddr{2, 0, 0, 0, 0, 9}, 65521)
	t.Cleanup(func() { _ = tap.Close() })
	for _, l := range []string{
		"addr add 192.168.127.2/24 dev up", "route add default via 192.168.127.1", "-6 addr add fd00:7f::2/64 dev up nodad", "-6 route add default via fd00:7f::1",
	} {
		o.helper.ip(l)
	}
	b := &box{id: "helper", mtu: 65521, links: map[string]*os.File{"up": tap}}
	if err := o.plane.Attach(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	o.set(t, func(*uplink.Settings) {})
	return o
}

func (o *outpost) set(t testing.TB, f func(*uplink.Settings)) {
	t.Helper()
	s := &uplink.Settings{
		Link: relay.LinkKey{Sandbox: "helper", Name: "up"}, MTU: 65521,
		Helper: netip.MustParsePrefix("192.168.127.2/24"), Helper6: netip.MustParsePrefix("fd00:7f::2/64"),
		Address: netip.MustParseAddr("192.168.127.1"), Address6: netip.MustParseAddr("fd00:7f::1"),
		DNS: netip.MustParseAddr("192.168.127.53"), Host: netip.MustParseAddr("192.168.127.254"),
		Resolvers: addrs("127.0.0.1"),
	}
	f(s)
	if err := o.plane.Uplink.Set(context.Background(), s); err != nil {
		t.Fatal(err)
	}
}

func TestEgressTCP(t *testing.T) {
	o := newOutpost(t)
	defer o.close(t)
	seen := make(chan string, 8)
	echoes(t, o.lan.listen(":80"), seen)
	local, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, local, seen)
	for _, tc := range []struct{ to, seen string }{
		{"10.9.0.2:80", "10.9.0.1"}, {"[fd00:9::2]:80", "fd00:9::1"}, {"192.168.127.254:8080", "127.0.0.1"},
	} {
		c := o.helper.mustDial("tcp", tc.to)
		if host, _, _ := net.SplitHostPort(receive(t, seen)); host != tc.seen {
			t.Errorf("%s sees %s", tc.to, host)
		}
		echo(t, c, 8<<20)
	}
	for _, to := range []string{"10.9.0.2:81", "192.168.127.254:81", "240.0.0.1:80"} {
		start := time.Now()
		if _, err := o.helper.dial("tcp", to); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > 3*time.Second {
			t.Errorf("%s, where nobody listens or nobody may go: %v after %v", to, err, time.Since(start))
		}
	}
	if _, err := o.helper.dial("tcp", "192.168.127.1:8080"); err == nil {
		t.Error("the uplink's own address leads to the host")
	}
	o.set(t, func(s *uplink.Settings) { s.Denied = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080")} })
	if _, err := o.helper.dial("tcp", "192.168.127.254:8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a listener that is denied: %v", err)
	}
	if _, err := o.helper.dial("tcp", "10.9.0.1:8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a listener that is denied, by an address of the host: %v", err)
	}
}

func TestEgressUDP(t *testing.T) {
	o := newOutpost(t)
	defer o.close(t)
	c := o.lan.listenUDP(":9000")
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	defer func() { _ = c.Close(); <-done }()
	for _, to := range []string{"10.9.0.2:9000", "[fd00:9::2]:9000"} {
		for _, size := range []int{1, 1400, 20000} {
			conn := o.helper.mustDial("udp", to)
			data := []byte(strings.Repeat("x", size))
			if _, err := conn.Write(data); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 65536)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := conn.Read(b); err != nil || n != size {
				t.Errorf("%s: %d of %d bytes came back, %v", to, n, size, err)
			}
		}
	}
	for _, to := range []string{"10.9.0.255:9000", "255.255.255.255:9000", "127.0.0.1:9000"} {
		forbidden := o.plane.Uplink.Counters()["uplink_udp"]
		if conn, err := o.helper.dial("udp", to); err == nil {
			_, _ = conn.Write([]byte("x")) // Some the kernel refuses.
			_ = conn.Close()
		}
		if n := o.plane.Uplink.Counters()["uplink_udp"]; n != forbidden {
			t.Errorf("something went to %s", to)
		}
	}
}

func TestNamesOfTheHost(t *testing.T) {
	o := newOutpost(t)
	defer o.close(t)
	h := dns.NewServeMux()
	h.HandleFunc("long.test.", func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		for i := range 100 {
			rr, err := dns.NewRR(fmt.Sprintf("long.test. 60 IN TXT %q", strings.Repeat(fmt.Sprint(i%10), 30)))
			if err != nil {
				t.Error(err)
			}
			r.Answer = append(r.Answer, rr)
		}
		if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
			r.Truncate(dns.MinMsgSize)
		}
		_ = w.WriteMsg(r)
	})
	h.HandleFunc("a.test.", func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		rr, err := dns.NewRR("a.test. 60 IN A 10.1.2.3")
		if err != nil {
			t.Error(err)
		}
		r.Answer = append(r.Answer, rr)
		_ = w.WriteMsg(r)
	})
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		s := &dns.Server{Addr: "127.0.0.1:53", Net: network, Handler: h, NotifyStartedFunc: func() { close(started) }}
		ended := make(chan error, 1)
		go func() { ended <- s.ListenAndServe() }()
		<-started
		defer func() {
			if err := errors.Join(s.Shutdown(), <-ended); err != nil {
				t.Error(err)
			}
		}()
	}
	ask := func(network, name string, size uint16) *dns.Msg {
		t.Helper()
		conn := o.helper.mustDial(network, "192.168.127.53:53")
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		q := new(dns.Msg).SetQuestion(name, dns.TypeA)
		if size > 0 {
			q.SetEdns0(size, false)
		}
		c := dns.Conn{Conn: conn, UDPSize: 65535}
		if err := c.WriteMsg(q); err != nil {
			t.Fatal(err)
		}
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, network := range []string{"udp", "tcp"} {
		if r := ask(network, "a.test.", 0); len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != "10.1.2.3" {
			t.Errorf("%s: %v", network, r)
		}
	}
	if r := ask("udp", "long.test.", 0); !r.Truncated {
		t.Error("a long answer is not cut for a client that cannot take it")
	}
	if r := ask("udp", "long.test.", 32000); r.Truncated || len(r.Answer) != 100 {
		t.Errorf("a client that can take it gets %d records, cut %v", len(r.Answer), r.Truncated)
	}
	if r := ask("tcp", "long.test.", 0); len(r.Answer) != 100 {
		t.Errorf("over TCP %d records", len(r.Answer))
	}
	o.set(t, func(s *uplink.Settings) { s.Resolvers = addrs("127.0.0.2") })
	if r := ask("udp", "a.test.", 0); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("without a resolver: %v", r)
	}
}

// TestEcho holds that an echo is answered by who it was for, and not by the stack, which answers for every address.
func TestEcho(t *testing.T) {
	o := newOutpost(t)
	defer o.close(t)
	o.helper.run("ping -c 1 -W 5 192.168.127.1")
	o.helper.run("ping -c 1 -W 5 fd00:7f::1")
	silent := func(to string) {
		t.Helper()
		if err := o.helper.ping(to); err == nil {
			t.Errorf("%s, which is nowhere, answers", to)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("1 0"), 0); err != nil {
		t.Fatal(err)
	}
	silent("10.9.0.2")
	if n := o.plane.Uplink.Counters()["uplink_icmp_dropped"]; n == 0 {
		t.Error("what the host does not allow is not counted")
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"10.9.0.2", "fd00:9::2", "192.168.127.254"} {
		o.helper.run("ping -c 3 -i 0.2 -s 1000 -W 5 " + to)
	}
	silent("10.9.0.77")
}

func (s *space) ping(to string) error {
	return s.do(func() error {
		c, err := net.Dial("ip4:icmp", to)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		// An echo request, number 7, with its checksum.
		if _, err := c.Write([]byte{8, 0, 0xf7, 0xf1, 0, 7, 0, 7}); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, err = c.Read(make([]byte, 100))
		return err
	})
}

func TestNothingOfTheUplinkIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("all", func(t *testing.T) {
		o := newOutpost(t)
		seen := make(chan string, 64)
		echoes(t, o.lan.listen(":80"), seen)
		c := o.helper.mustDial("tcp", "10.9.0.2:80")
		receive(t, seen)
		u := o.helper.mustDial("udp", "10.9.0.2:9")
		if _, err := u.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := o.helper.mustDial("udp", "192.168.127.53:53").Write(make([]byte, 40)); err != nil {
			t.Error(err)
		}
		o.set(t, func(s *uplink.Settings) { s.Host = netip.MustParseAddr("192.168.127.200") })
		// The answer tells, too, that the stack has taken the connection, which it resets only then.
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("a connection does not outlive a change that is not about it: %v", err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("no answer after a change that is not about the connection: %v", err)
		}
		if err := o.plane.Uplink.Set(context.Background(), nil); err != nil {
			t.Error(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 10)
		for {
			if _, err := c.Read(b); err != nil {
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a connection ended with %v", err)
				}
				break
			}
		}
		o.set(t, func(*uplink.Settings) {})
		o.helper.mustDial("tcp", "10.9.0.2:80")
		receive(t, seen)
		o.close(t)
	})
	goleak.VerifyNone(t, before)
}
