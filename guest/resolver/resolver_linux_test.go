package resolver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// here is the namespace of the test, where the rules are not tried.
type here struct{}

func (here) Do(f func() error) error { return f() }

// space is a network namespace of a test.
type space struct{ file *os.File }

func (s space) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked.
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// newSpace makes a network namespace with a loopback interface that is up.
func newSpace(t testing.TB) space {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	var s space
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked.
		done <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			if s.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer func() { _ = unix.Close(fd) }()
			req, err := unix.NewIfreq("lo")
			if err != nil {
				return err
			}
			req.SetUint16(unix.IFF_UP)
			return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.file.Close() })
	return s
}

// server is an upstream that answers as its handler says, on a port of 127.0.0.1 in s.
func server(t testing.TB, s Space, handler dns.HandlerFunc) string {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	err := s.Do(func() (err error) {
		if pc, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			return err
		}
		l, err = net.Listen("tcp4", pc.LocalAddr().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		started, done := make(chan struct{}), make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); _ = d.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = d.Shutdown(); <-done })
	}
	return pc.LocalAddr().String()
}

// listening makes a resolver on a port of its own, without rules.
func listening(t testing.TB, c *guestv1.Resolver, names *guestv1.NameTable) *Resolver {
	t.Helper()
	r := newResolver(here{}, &Names{})
	if err := r.names.Set(names); err != nil {
		t.Fatal(err)
	}
	if err := r.Change(c); err != nil {
		t.Fatal(err)
	}
	if err := r.listen(0); err != nil {
		t.Fatal(err)
	}
	r.direct = true
	r.run()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func exchange(t testing.TB, r *Resolver, network string, q *dns.Msg) *dns.Msg {
	t.Helper()
	m, _, err := (&dns.Client{Net: network, Timeout: 10 * time.Second, UDPSize: dns.MaxMsgSize}).Exchange(q, r.udp.LocalAddr().String())
	if err != nil {
		t.Fatalf("%s: %v", q.Question[0].Name, err)
	}
	return m
}

func texts(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(out)
	return out
}

func names() *guestv1.NameTable {
	t := &guestv1.NameTable{Generation: 1,
		Names:    []*guestv1.Name{{Name: "web", Addresses: []string{"10.0.0.2", "10.0.0.3", "fd00::2"}}, {Name: "four", Addresses: []string{"10.0.0.4"}}, {Name: "Web.Front.", Addresses: []string{"10.0.0.2"}}},
		Pointers: []*guestv1.Pointer{{Address: "10.0.0.2", Name: "web.front"}, {Address: "fd00::2", Name: "web.front"}}}
	many := &guestv1.Name{Name: "many"}
	for i := range 200 {
		many.Addresses = append(many.Addresses, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
	}
	t.Names = append(t.Names, many)
	return t
}

func TestNames(t *testing.T) {
	r := listening(t, &guestv1.Resolver{NoForward: true, NoSingleLabels: true}, names())
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  []string
	}{
		{"web.", dns.TypeA, 0, []string{"10.0.0.2", "10.0.0.3"}},
		{"wEb.", dns.TypeA, 0, []string{"10.0.0.2", "10.0.0.3"}},
		{"web.", dns.TypeAAAA, 0, []string{"fd00::2"}},
		{"web.", dns.TypeANY, 0, []string{"10.0.0.2", "10.0.0.3", "fd00::2"}},
		{"web.front.", dns.TypeA, 0, []string{"10.0.0.2"}},
		{"four.", dns.TypeAAAA, 0, nil},
		{"four.", dns.TypeMX, 0, nil},
		{"four.", dns.TypeHTTPS, 0, nil},
		{"2.0.0.10.in-addr.arpa.", dns.TypePTR, 0, []string{"web.front."}},
		{"9.0.0.10.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, nil},
		{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.F.ip6.arpa.", dns.TypePTR, 0, []string{"web.front."}},
		{"single.", dns.TypeA, 0, nil},
		{"single.", dns.TypeTXT, dns.RcodeNameError, nil},
		{"out.side.", dns.TypeA, dns.RcodeNameError, nil},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m := exchange(t, r, network, new(dns.Msg).SetQuestion(c.name, c.kind))
			if m.Rcode != c.rcode || !slices.Equal(texts(m), c.want) || !m.RecursionAvailable || m.Question[0].Name != c.name {
				t.Errorf("%s %s over %s: %s", dns.TypeToString[c.kind], c.name, network, m)
			}
			for _, rr := range m.Answer {
				if rr.Header().Ttl != 600 || rr.Header().Name != c.name {
					t.Errorf("answer %s", rr)
				}
			}
		}
	}
}

func TestNamesTakeTurns(t *testing.T) {
	r := listening(t, &guestv1.Resolver{}, names())
	first := map[string]bool{}
	for range 100 {
		m := exchange(t, r, "udp", new(dns.Msg).SetQuestion("web.", dns.TypeA))
		first[m.Answer[0].(*dns.A).A.String()] = true
	}
	if len(first) != 2 {
		t.Fatalf("the first addresses of 100 answers are %v", first)
	}
}

func TestSizes(t *testing.T) {
	r := listening(t, &guestv1.Resolver{}, names())
	for _, c := range []struct {
		network string
		edns    uint16
		limit   int
		whole   bool
	}{{"udp", 0, 512, false}, {"udp", 100, 512, false}, {"udp", 1232, 1232, false}, {"udp", 8192, 8192, true}, {"tcp", 0, 65535, true}, {"tcp", 512, 65535, true}} {
		q := new(dns.Msg).SetQuestion("many.", dns.TypeA)
		if c.edns > 0 {
			q.SetEdns0(c.edns, true)
		}
		m := exchange(t, r, c.network, q)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		m.Compress = true
		if n := m.Len(); n > c.limit || m.Truncated == c.whole || (len(m.Answer) == 200) != c.whole {
			t.Errorf("%v: %d answers in %d bytes (%d), truncated: %v", c, len(m.Answer), n, len(b), m.Truncated)
		}
		opt := m.IsEdns0()
		if (opt != nil) != (c.edns > 0) || opt != nil && (!opt.Do() || opt.UDPSize() != ednsMax) {
			t.Errorf("%v: EDNS %v", c, opt)
		}
	}
	q := new(dns.Msg).SetQuestion("out.side.", dns.TypeA).SetEdns0(1232, false)
	q.IsEdns0().SetVersion(1)
	if m := exchange(t, r, "udp", q); m.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS version 1: %s", m)
	}
}

func TestForward(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]uint16{}
	answer := func(kind string) dns.HandlerFunc {
		return func(w dns.ResponseWriter, q *dns.Msg) {
			mu.Lock()
			key := kind + " " + w.LocalAddr().Network()
			seen[key] = append(seen[key], q.Id)
			mu.Unlock()
			m := new(dns.Msg).SetReply(q)
			switch {
			case kind == "broken":
				m.Rcode = dns.RcodeServerFailure
			case q.Question[0].Qtype == dns.TypeTXT:
				for i := range 60 {
					m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{strings.Repeat("x", 100) + fmt.Sprint(i)}})
				}
				if w.LocalAddr().Network() == "udp" {
					m.Truncate(512)
				}
			case q.Question[0].Name == "lie.side.":
				m.Question[0].Name = "other."
			default:
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, 1)}}
			}
			_ = w.WriteMsg(m)
		}
	}
	broken, good := server(t, here{}, answer("broken")), server(t, here{}, answer("good"))
	r := listening(t, &guestv1.Resolver{Upstreams: []string{broken, "127.0.0.11:53", good}}, names())
	q := new(dns.Msg).SetQuestion("out.side.", dns.TypeA)
	q.Id = 4711
	for _, network := range []string{"udp", "tcp"} {
		if m := exchange(t, r, network, q); m.Rcode != 0 || !slices.Equal(texts(m), []string{"192.0.2.1"}) || m.Id != 4711 {
			t.Errorf("over %s: %s", network, m)
		}
		mu.Lock()
		if len(seen["broken "+network]) != 1 || len(seen["good "+network]) != 1 {
			t.Errorf("over %s the upstreams were asked %v", network, seen)
		}
		if network == "udp" && seen["good udp"][0] == 4711 && seen["broken udp"][0] == 4711 {
			t.Error("the upstreams saw the client's own ID")
		}
		mu.Unlock()
	}
	// What UDP cuts is fetched over TCP, and cut for a client that takes no more.
	for size, whole := range map[uint16]bool{512: false, 16384: true} {
		m := exchange(t, r, "udp", new(dns.Msg).SetQuestion("out.side.", dns.TypeTXT).SetEdns0(size, false))
		if m.Truncated == whole || (len(m.Answer) == 60) != whole {
			t.Errorf("size %d: %d answers, truncated: %v", size, len(m.Answer), m.Truncated)
		}
	}
	// The next question goes by a configuration that was changed meanwhile.
	if err := r.Change(&guestv1.Resolver{Upstreams: []string{good}, NoForward: true}); err != nil {
		t.Fatal(err)
	}
	if m := exchange(t, r, "udp", q); m.Rcode != dns.RcodeNameError {
		t.Errorf("an internal container: %s", m)
	}
	if err := r.Change(&guestv1.Resolver{}); err != nil {
		t.Fatal(err)
	}
	if m := exchange(t, r, "udp", q); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("without upstreams: %s", m)
	}
	if err := r.Change(&guestv1.Resolver{Upstreams: []string{"nonsense"}}); err == nil {
		t.Error("a wrong upstream was taken")
	}
}

// TestForwardLoss asks again when a datagram is lost, and does not take the answer to another question for its own.
func TestForwardLoss(t *testing.T) {
	var mu sync.Mutex
	lost := 0
	up := server(t, here{}, func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if lost++; lost == 1 {
			lie := new(dns.Msg).SetReply(q)
			lie.Question[0].Name = "other."
			_ = w.WriteMsg(lie)
			return
		}
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, 1)}}
		_ = w.WriteMsg(m)
	})
	r := listening(t, &guestv1.Resolver{Upstreams: []string{up}}, names())
	if m := exchange(t, r, "udp", new(dns.Msg).SetQuestion("out.side.", dns.TypeA)); !slices.Equal(texts(m), []string{"192.0.2.1"}) {
		t.Errorf("%s", m)
	}
}

// TestSilentUpstream answers SERVFAIL in time, answers from the table meanwhile, and refuses what is too much.
func TestSilentUpstream(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	r := listening(t, &guestv1.Resolver{Upstreams: []string{silent.LocalAddr().String()}}, names())
	begun := time.Now()
	failed := make(chan *dns.Msg, 1)
	go func() {
		m, _, _ := (&dns.Client{Timeout: 10 * time.Second}).Exchange(new(dns.Msg).SetQuestion("out.side.", dns.TypeA), r.udp.LocalAddr().String())
		failed <- m
	}()
	for len(r.forwards) == 0 {
		runtime.Gosched()
	}
	if m := exchange(t, r, "udp", new(dns.Msg).SetQuestion("four.", dns.TypeA)); len(m.Answer) != 1 {
		t.Errorf("meanwhile: %s", m)
	}
	for len(r.forwards) < maxForwards {
		r.forwards <- struct{}{}
	}
	if m := exchange(t, r, "udp", new(dns.Msg).SetQuestion("more.side.", dns.TypeA)); m.Rcode != dns.RcodeRefused {
		t.Errorf("one more: %s", m)
	}
	for range maxForwards - 1 {
		<-r.forwards
	}
	if m := <-failed; m == nil || m.Rcode != dns.RcodeServerFailure || time.Since(begun) > timeout+2*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), m)
	}
}

// TestCloseEndsEverything closes a resolver with questions and connections under way.
func TestCloseEndsEverything(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	before := runtime.NumGoroutine()
	r := newResolver(here{}, &Names{})
	if err := errors.Join(r.Change(&guestv1.Resolver{Upstreams: []string{silent.LocalAddr().String()}}), r.listen(0)); err != nil {
		t.Fatal(err)
	}
	r.direct = true
	r.run()
	packet, err := new(dns.Msg).SetQuestion("out.side.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c, err := net.Dial("tcp", r.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("closing took %s", took)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// TestConnectionsAreBounded drops connections beyond the bound, and takes new ones when others have gone.
func TestConnectionsAreBounded(t *testing.T) {
	r := listening(t, &guestv1.Resolver{}, names())
	var conns []net.Conn
	for range maxConns {
		c, err := net.Dial("tcp", r.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for len(r.conns) < maxConns {
		runtime.Gosched()
	}
	c, err := net.Dial("tcp", r.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Fatal(err)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	for len(r.conns) > 0 {
		runtime.Gosched()
	}
	exchange(t, r, "tcp", new(dns.Msg).SetQuestion("web.", dns.TypeA))
}

// TestRules answers on port 53 of its address while another has port 53 of all addresses, from any local address.
func TestRules(t *testing.T) {
	s := newSpace(t)
	n := &Names{}
	if err := n.Set(names()); err != nil {
		t.Fatal(err)
	}
	r, warning, err := Start(s, &guestv1.Resolver{}, n)
	if err != nil || warning != "" {
		t.Fatal(err, warning)
	}
	err = s.Do(func() error {
		own, err := net.ListenPacket("udp4", "0.0.0.0:53")
		if err != nil {
			return fmt.Errorf("the container cannot use port 53: %w", err)
		}
		defer func() { _ = own.Close() }()
		ownTCP, err := net.Listen("tcp4", "0.0.0.0:53")
		if err != nil {
			return fmt.Errorf("the container cannot use port 53: %w", err)
		}
		defer func() { _ = ownTCP.Close() }()
		for _, network := range []string{"udp", "tcp"} {
			for _, size := range []string{"web.", "many."} {
				m, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(size, dns.TypeA).SetEdns0(16384, false), "127.0.0.11:53")
				if err != nil || len(m.Answer) < 2 {
					return fmt.Errorf("%s over %s: %w, %v", size, network, err, m)
				}
			}
			// The container's own server is still there at its other addresses.
			if c, err := net.Dial(network, "127.0.0.2:53"); err == nil {
				_ = c.Close()
			} else {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.Do(func() error {
		if _, err := net.DialTimeout("tcp", "127.0.0.11:53", time.Second); !errors.Is(err, unix.ECONNREFUSED) {
			return fmt.Errorf("after the end: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWithoutRules listens on port 53 itself, and says so.
func TestWithoutRules(t *testing.T) {
	s := newSpace(t)
	defer func(f func(uint16) error) { addRules = f }(addRules)
	addRules = func(uint16) error { return unix.EOPNOTSUPP }
	n := &Names{}
	if err := n.Set(names()); err != nil {
		t.Fatal(err)
	}
	r, warning, err := Start(s, &guestv1.Resolver{}, n)
	if err != nil || !strings.Contains(warning, "occupies port 53 of 127.0.0.11") {
		t.Fatal(err, warning)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = s.Do(func() error {
		m, _, err := (&dns.Client{}).Exchange(new(dns.Msg).SetQuestion("four.", dns.TypeA), "127.0.0.11:53")
		if err == nil && len(m.Answer) != 1 {
			err = fmt.Errorf("%s", m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTablesAreChecked(t *testing.T) {
	for _, table := range []*guestv1.NameTable{
		{Names: []*guestv1.Name{{Name: "x", Addresses: []string{"10.0.0"}}}},
		{Pointers: []*guestv1.Pointer{{Address: "x", Name: "y"}}},
		{Names: make([]*guestv1.Name, maxNames+1)},
		{Names: []*guestv1.Name{{Name: "x", Addresses: make([]string, maxAddresses+1)}}},
	} {
		n := &Names{}
		if err := n.Set(table); err == nil {
			t.Errorf("taken: %.80v", table)
		}
	}
}

// FuzzServe gives a resolver what a hostile container may send, and its upstream what a hostile server may answer.
func FuzzServe(f *testing.F) {
	for _, q := range []*dns.Msg{new(dns.Msg).SetQuestion("web.", dns.TypeA), new(dns.Msg).SetQuestion("many.", dns.TypeANY).SetEdns0(512, true), new(dns.Msg).SetQuestion("2.0.0.10.in-addr.arpa.", dns.TypePTR), new(dns.Msg).SetQuestion("out.side.", dns.TypeTXT)} {
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	f.Add([]byte{1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1}, []byte{1, 2, 0x82, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0})
	n := &Names{}
	if err := n.Set(names()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet, reply []byte) {
		if len(packet) > dns.MaxMsgSize {
			return
		}
		r := newResolver(here{}, n)
		if err := r.Change(&guestv1.Resolver{NoForward: true}); err != nil {
			t.Fatal(err)
		}
		for _, tcp := range []bool{false, true} {
			var out []byte
			answered := r.serve(bytes.Clone(packet), tcp, func(b []byte) { out = b })
			if answered != (out != nil) {
				t.Fatalf("said %v, and wrote %d bytes", answered, len(out))
			}
			if out == nil {
				continue
			}
			if len(out) < headerSize || !bytes.Equal(out[:2], packet[:2]) || out[2]&0x80 == 0 {
				t.Fatalf("%x was answered %x", packet, out)
			}
			q, _ := read(packet, tcp)
			if q == nil {
				continue
			}
			if len(out) > max(q.limit, dns.MinMsgSize) && !tcp {
				t.Fatalf("%d bytes for a client that takes %d", len(out), q.limit)
			}
			if end := questionEnd(packet); end > len(packet) {
				t.Fatalf("the question ends at %d of %d", end, len(packet))
			}
			if check(reply, packet) == nil && len(reply) < headerSize {
				t.Fatal("a short answer was taken")
			}
			if b := shorten(bytes.Clone(reply), q.limit); len(b) > max(q.limit, dns.MinMsgSize) && !tcp {
				t.Fatalf("an answer of %d bytes is %d after it was cut to %d", len(reply), len(b), q.limit)
			}
		}
	})
}

// BenchmarkAnswer measures a question over UDP, from the client's write to its read.
func BenchmarkAnswer(b *testing.B) {
	r := listening(b, &guestv1.Resolver{}, names())
	packet, err := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("udp", r.udp.LocalAddr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, 512)
	for b.Loop() {
		if _, err := c.Write(packet); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
