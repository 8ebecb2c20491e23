package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// upstream is a resolver on loopback; the handler decides what it says.
func upstream(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lc.Listen(t.Context(), "tcp4", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(ended); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-ended })
	}
	return pc.LocalAddr().String()
}

// serve starts a forwarder and returns its address of IPv4.
func serve(t *testing.T, f *Forwarder) string {
	t.Helper()
	s, err := Listen(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, f) }()
	t.Cleanup(func() {
		cancel(nil)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended with %v", err)
		}
	})
	_, port, _ := net.SplitHostPort(s.packets[0].LocalAddr().String())
	return net.JoinHostPort("127.0.0.1", port)
}

func ask(t *testing.T, network, server string, edns uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion("a.test.", dns.TypeA)
	if edns != 0 {
		q.SetEdns0(edns, true)
	}
	c := dns.Client{Net: network, Timeout: 6 * time.Second}
	m, _, err := c.ExchangeContext(t.Context(), q, server)
	if err != nil {
		t.Fatalf("%s: %v", network, err)
	}
	if m.Id != q.Id {
		t.Errorf("the answer is to another query")
	}
	return m
}

func reply(w dns.ResponseWriter, q *dns.Msg, answers int) {
	m := new(dns.Msg)
	m.SetReply(q)
	for i := range answers {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 7}, A: net.IPv4(198, 51, 100, byte(i))})
	}
	size := dns.MaxMsgSize
	if w.LocalAddr().Network() == "udp" {
		size = 512
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
			m.SetEdns0(o.UDPSize(), o.Do())
		}
	}
	m.Truncate(size)
	_ = w.WriteMsg(m)
}

func forwarder(address string, clients ...string) *Forwarder {
	f := NewForwarder()
	s := &settings{upstream: address}
	for _, c := range clients {
		s.clients = append(s.clients, netip.MustParsePrefix(c))
	}
	f.settings.Store(s)
	return f
}

func TestForward(t *testing.T) {
	server := serve(t, forwarder(upstream(t, func(w dns.ResponseWriter, q *dns.Msg) { reply(w, q, 50) }), "127.0.0.0/8"))
	if m := ask(t, "udp", server, 0); !m.Truncated {
		t.Error("a big answer fits a small datagram")
	}
	if m := ask(t, "udp", server, 4096); m.Truncated || len(m.Answer) != 50 || m.IsEdns0() == nil || !m.IsEdns0().Do() {
		t.Errorf("with EDNS0: %v", m)
	}
	if m := ask(t, "tcp", server, 0); m.Truncated || len(m.Answer) != 50 {
		t.Errorf("over TCP: %v", m)
	}
}

func TestForwardRefuses(t *testing.T) {
	f := forwarder(upstream(t, func(w dns.ResponseWriter, q *dns.Msg) { reply(w, q, 1) }), "10.0.0.0/8")
	server := serve(t, f)
	if m := ask(t, "udp", server, 0); m.Rcode != dns.RcodeRefused {
		t.Errorf("a stranger gets %v", m)
	}
	f.Set(netip.Addr{}, netip.Addr{}, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	if m := ask(t, "udp", server, 1232); m.Rcode != dns.RcodeServerFailure || m.IsEdns0() == nil {
		t.Errorf("without a resolver: %v", m)
	}
	if c := f.Counters(); c["dns_queries"] != 2 || c["dns_failures"] != 1 {
		t.Errorf("counters: %v", c)
	}
}

// TestForwardAgain: a lost datagram is sent again.
func TestForwardAgain(t *testing.T) {
	var seen atomic.Int32
	server := serve(t, forwarder(upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if seen.Add(1) > 1 {
			reply(w, q, 1)
		}
	}), "127.0.0.0/8"))
	if m := ask(t, "udp", server, 0); len(m.Answer) != 1 {
		t.Errorf("got %v", m)
	}
}

// TestForwardSilence: nobody answers, and the client is told so in time.
func TestForwardSilence(t *testing.T) {
	server := serve(t, forwarder(upstream(t, func(dns.ResponseWriter, *dns.Msg) {}), "127.0.0.0/8"))
	begun := time.Now()
	if m := ask(t, "udp", server, 0); m.Rcode != dns.RcodeServerFailure || time.Since(begun) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), m)
	}
}

// TestForwardMismatch: an answer to another question is none.
func TestForwardMismatch(t *testing.T) {
	server := serve(t, forwarder(upstream(t, func(w dns.ResponseWriter, q *dns.Msg) {
		q.Question[0].Name = "other.test."
		reply(w, q, 1)
	}), "127.0.0.0/8"))
	if m := ask(t, "tcp", server, 0); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v", m)
	}
}

// FuzzServe: no message breaks the forwarder, and each that is answered is answered with its own ID.
func FuzzServe(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion("a.test.", dns.TypeA)
	q.SetEdns0(1232, true)
	b, err := q.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	forward := forwarder("", "127.0.0.0/8")
	f.Fuzz(func(t *testing.T, b []byte) {
		q := new(dns.Msg)
		if q.Unpack(b) != nil {
			return
		}
		w := &recorder{}
		forward.ServeDNS(w, q)
		if w.answer == nil || w.answer.Id != q.Id {
			t.Errorf("%v was answered with %v", q, w.answer)
		}
	})
}

// recorder keeps the answer.
type recorder struct {
	dns.ResponseWriter
	answer *dns.Msg
}

func (*recorder) LocalAddr() net.Addr  { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53} }
func (*recorder) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }
func (r *recorder) WriteMsg(m *dns.Msg) error {
	r.answer = m
	return nil
}

// TestHost: the host's name is answered here, whatever the resolvers say of it.
func TestHost(t *testing.T) {
	f := NewForwarder()
	f.Set(netip.Addr{}, netip.MustParseAddr("192.168.127.254"), []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	server := serve(t, f)
	for _, tc := range []struct {
		name  string
		qtype uint16
		code  int
		want  string
	}{
		{"Host.docker.internal.", dns.TypeA, dns.RcodeSuccess, "192.168.127.254"},
		{"host.docker.internal.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"other.docker.internal.", dns.TypeA, dns.RcodeServerFailure, ""},
	} {
		q := new(dns.Msg)
		q.SetQuestion(tc.name, tc.qtype)
		m, _, err := new(dns.Client).ExchangeContext(t.Context(), q, server)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(m.Answer) == 1 {
			got = m.Answer[0].(*dns.A).A.String()
		}
		if m.Rcode != tc.code || got != tc.want {
			t.Errorf("%s %d: %v", tc.name, tc.qtype, m)
		}
	}
}
