package uplink

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"

	"github.com/arca-engine/arca/vmhelper/relay"
)

func settings() *Settings {
	return &Settings{
		Link: relay.LinkKey{Sandbox: "h", Name: "up"}, Helper: netip.MustParsePrefix("192.168.127.2/24"), Address: netip.MustParseAddr("192.168.127.1"),
		Helper6: netip.MustParsePrefix("fd00:7f::2/64"), Address6: netip.MustParseAddr("fd00:7f::1"),
		DNS: netip.MustParseAddr("192.168.127.53"), Host: netip.MustParseAddr("192.168.127.254"), MTU: 1500,
		Denied: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:2375"), netip.MustParseAddrPort("0.0.0.0:6640"), netip.MustParseAddrPort("10.1.0.5:22")},
	}
}

func TestTarget(t *testing.T) {
	host := &hostNets{asked: time.Now().Add(time.Hour), all: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("10.1.0.5/16"), netip.MustParsePrefix("10.2.0.1/31"), netip.MustParsePrefix("fd00:1::5/64"),
	}}
	for to, want := range map[string]string{
		"93.184.216.34:80": "93.184.216.34:80", "[2606:4700::1111]:443": "[2606:4700::1111]:443", "10.1.0.5:80": "10.1.0.5:80",
		"192.168.127.254:80": "127.0.0.1:80", "10.2.0.1:80": "10.2.0.1:80", "169.254.169.254:80": "169.254.169.254:80",
		"[::ffff:93.184.216.34]:80": "93.184.216.34:80",

		"127.0.0.1:80": "", "[::1]:80": "", "0.0.0.0:80": "", "0.1.2.3:80": "", "[::]:80": "", "[::ffff:127.0.0.1]:80": "",
		"224.0.0.1:80": "", "255.255.255.255:80": "", "240.1.1.1:80": "", "[ff02::1]:80": "", "[fe80::1]:80": "",
		"10.1.255.255:80": "", "192.168.127.2:80": "", "192.168.127.1:80": "", "192.168.127.53:80": "", "[fd00:7f::9]:80": "",
		"192.168.127.254:2375": "", "192.168.127.254:6640": "", "10.1.0.5:6640": "", "[fd00:1::5]:6640": "", "10.1.0.5:22": "",
		"10.1.0.6:6640": "10.1.0.6:6640", "10.1.0.5:2375": "10.1.0.5:2375",
	} {
		got, err := settings().target(netip.MustParseAddrPort(to), host)
		switch {
		case want == "" && !errdefs.IsPermissionDenied(err):
			t.Errorf("%s leads to %v, %v", to, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s leads to %v, %v and not to %s", to, got, err, want)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	if err := settings().Check(); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*Settings){
		"no helper":            func(s *Settings) { s.Helper = netip.Prefix{} },
		"a helper in IPv6":     func(s *Settings) { s.Helper = s.Helper6 },
		"no address":           func(s *Settings) { s.Address = netip.Addr{} },
		"an address elsewhere": func(s *Settings) { s.Address = netip.MustParseAddr("10.0.0.1") },
		"IPv6 on one side":     func(s *Settings) { s.Address6 = netip.Addr{} },
		"DNS is the host":      func(s *Settings) { s.DNS = s.Host },
		"a tiny MTU":           func(s *Settings) { s.MTU = 100 },
	} {
		s := settings()
		f(s)
		if err := s.Check(); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := places{limit: 3, each: 2}
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	for i, tc := range []struct {
		a    netip.Addr
		want bool
	}{{a, true}, {a, true}, {a, false}, {b, true}, {c, false}} {
		if p.take(tc.a) != tc.want {
			t.Errorf("place %d: not %v", i, tc.want)
		}
	}
	p.leave(a)
	if p.take(b) != true || p.take(c) {
		t.Error("a place that was left is not given once")
	}
	for _, x := range []netip.Addr{a, b, b} {
		p.leave(x)
	}
	if p.taken != 0 || len(p.by) != 0 {
		t.Errorf("left: %d, %v", p.taken, p.by)
	}
}

func TestAnswersAreCompared(t *testing.T) {
	pack := func(m *dns.Msg) []byte {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	q := new(dns.Msg).SetQuestion("Example.test.", dns.TypeA)
	query := pack(q)
	right := new(dns.Msg).SetReply(q)
	right.Question[0].Name = "eXample.test."
	if !answers(pack(right), query) {
		t.Error("an answer is refused")
	}
	other := new(dns.Msg).SetReply(q)
	other.Id++
	if answers(pack(other), query) {
		t.Error("another number is taken")
	}
	name := new(dns.Msg).SetReply(q)
	name.Question[0].Name = "evil.test."
	if answers(pack(name), query) {
		t.Error("another question is taken")
	}
	if answers(query, query) {
		t.Error("a query is taken for its answer")
	}
	if b := failure(query); b == nil || !answers(b, query) {
		t.Error("a failure does not answer its query")
	}
}

// FuzzAnswers holds that no message breaks the comparison.
func FuzzAnswers(f *testing.F) {
	q, err := new(dns.Msg).SetQuestion("a.test.", dns.TypeA).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q, q)
	f.Add([]byte(strings.Repeat("\x00", 12)), []byte(strings.Repeat("\x00", 5)+"\x01"+strings.Repeat("\x3f", 80)))
	f.Fuzz(func(t *testing.T, query, answer []byte) {
		if len(query) < dnsHeader {
			return
		}
		if answers(answer, query) && (answer[0] != query[0] || answer[1] != query[1]) {
			t.Error("the answer to another query was taken")
		}
		if n := questionEnd(query); n > len(query) {
			t.Errorf("the question of %d bytes ends at %d", len(query), n)
		}
		_ = failure(query)
		_ = udpSize(query)
	})
}

func TestAnUplinkThatIsClosed(t *testing.T) {
	u := New(Config{})
	if err := u.Set(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if err := u.Set(t.Context(), nil); !errors.Is(err, errClosed) {
		t.Error(err)
	}
}
