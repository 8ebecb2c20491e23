package ipam

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

func cidr(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func cidrs(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, cidr(t))
	}
	return out
}

func TestChoose(t *testing.T) {
	small := []Pool{{cidr("10.9.0.0/24"), 26}, {cidr("10.8.0.0/30"), 31}}
	for _, tc := range []struct {
		pools           []Pool
		v6              bool
		taken, reserved []netip.Prefix
		want            string
	}{
		{Defaults(), false, nil, nil, "172.17.0.0/16"},
		{Defaults(), false, cidrs("172.17.0.0/16"), nil, "172.18.0.0/16"},
		{Defaults(), false, cidrs("172.17.0.0/16", "172.19.0.0/16"), cidrs("172.18.3.0/24"), "172.20.0.0/16"},
		{Defaults(), false, cidrs("172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16", "172.22.0.0/16"), nil, "172.21.0.0/16"},
		{Defaults(), false, nil, cidrs("172.16.0.0/12"), "192.168.0.0/20"},
		{Defaults(), false, nil, cidrs("172.16.0.0/12", "192.168.16.1/32", "192.168.0.0/21"), "192.168.32.0/20"},
		{Defaults(), false, nil, cidrs("0.0.0.0/0"), "!"},
		{Defaults(), true, nil, nil, "!"},
		{small, false, nil, nil, "10.8.0.0/31"},
		{small, false, cidrs("10.8.0.0/31", "10.8.0.2/31", "10.9.0.64/26"), cidrs("10.9.0.1/32"), "10.9.0.128/26"},
		{[]Pool{{cidr("255.255.255.0/24"), 24}}, false, cidrs("255.255.255.255/32"), nil, "!"},
		{[]Pool{Unique("x")}, true, []netip.Prefix{netip.PrefixFrom(Unique("x").Base.Addr(), 64)}, cidrs("fe80::/64"), "1"},
	} {
		got, err := Choose(tc.pools, tc.v6, tc.taken, tc.reserved)
		switch {
		case tc.want == "!":
			if !errors.Is(err, ErrNoSubnet) {
				t.Errorf("%v: %v, %v", tc, got, err)
			}
		case tc.want == "1":
			if base := Unique("x").Base.Addr().As16(); err != nil || got.Addr().As16()[7] != 1 || got.Addr().As16()[0] != base[0] {
				t.Errorf("%v: %v, %v", tc, got, err)
			}
		case err != nil || got.String() != tc.want:
			t.Errorf("%v: %v, %v, want %s", tc, got, err, tc.want)
		}
	}
	if Unique("a") == Unique("b") || Unique("a").Base.Bits() != 48 {
		t.Error("the pool of unique local addresses follows from the engine's ID")
	}
}

// Subnets that are chosen one after the other never overlap, and none is left out as long as one is free.
func TestChooseAll(t *testing.T) {
	var taken []netip.Prefix
	for {
		next, err := Choose(Defaults(), false, taken, cidrs("172.20.5.0/24"))
		if err != nil {
			break
		}
		if Overlaps(next, taken) {
			t.Fatalf("%s is taken", next)
		}
		taken = append(taken, next)
	}
	if len(taken) != 15-1+16 {
		t.Errorf("%d subnets: %v", len(taken), taken)
	}
}

func TestSet(t *testing.T) {
	s := New(cidr("10.0.0.0/29"))
	take := func(a string, want error) {
		t.Helper()
		if err := s.Take(netip.MustParseAddr(a)); !errors.Is(err, want) {
			t.Errorf("take %s: %v, want %v", a, err, want)
		}
	}
	take("10.0.0.0", ErrInUse)
	take("10.0.0.7", ErrInUse)
	take("10.0.0.8", ErrOutOfRange)
	take("10.0.0.2", nil)
	take("::ffff:10.0.0.2", ErrInUse)
	any := func(within, want string) {
		t.Helper()
		var p netip.Prefix
		if within != "" {
			p = cidr(within)
		}
		a, err := s.Any(p)
		if want == "" {
			if !errors.Is(err, ErrExhausted) || !errdefs.IsUnavailable(err) {
				t.Errorf("any of %s: %v, %v", within, a, err)
			}
		} else if err != nil || a.String() != want {
			t.Errorf("any of %s: %v, %v, want %s", within, a, err, want)
		}
	}
	any("", "10.0.0.1")
	any("10.0.0.4/31", "10.0.0.4")
	any("10.0.0.4/31", "10.0.0.5")
	any("10.0.0.4/31", "")
	any("10.0.0.0/8", "10.0.0.3") // A range greater than the subnet is the subnet, as dockerd has it.
	any("", "10.0.0.6")
	any("", "")
	for _, tc := range []struct {
		subnet string
		want   int
	}{{"10.0.0.0/31", 2}, {"10.0.0.0/32", 1}, {"10.0.0.0/30", 2}, {"fd00::/126", 3}, {"fd00::/128", 0}} {
		s, n := New(cidr(tc.subnet)), 0
		for {
			if _, err := s.Any(netip.Prefix{}); err != nil {
				break
			}
			n++
		}
		if n != tc.want {
			t.Errorf("%s has %d addresses, want %d", tc.subnet, n, tc.want)
		}
	}
}

// The set agrees with a slow and obvious one.
func TestSetAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), 0, 0}), 24+r.IntN(8)).Masked()
		s := New(subnet)
		var given []netip.Addr
		for range 400 {
			switch r.IntN(3) {
			case 0:
				a, err := s.Any(netip.Prefix{})
				want := lowest(subnet, given)
				if err == nil != want.IsValid() || a != want {
					t.Fatalf("%s: %v, %v, want %v", subnet, a, err, want)
				}
				if err == nil {
					given = append(given, a)
				}
			case 1:
				a := netip.AddrFrom4([4]byte{10, subnet.Addr().As4()[1], 0, byte(r.IntN(256))})
				err := s.Take(a)
				if free := subnet.Contains(a) && a != subnet.Addr() && a != Last(subnet) && !slices.Contains(given, a) || subnet.Bits() == 31 && subnet.Contains(a) && !slices.Contains(given, a); free != (err == nil) {
					t.Fatalf("%s: take %v: %v", subnet, a, err)
				}
				if err == nil {
					given = append(given, a)
				}
			case 2:
				if len(given) > 0 {
					i := r.IntN(len(given))
					given = slices.Delete(given, i, i+1)
					s = New(subnet) // What is in use is always told anew.
					for _, a := range given {
						if err := s.Take(a); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
}

func lowest(subnet netip.Prefix, given []netip.Addr) netip.Addr {
	for a := subnet.Addr(); subnet.Contains(a); a = a.Next() {
		if subnet.Bits() < 31 && (a == subnet.Addr() || a == Last(subnet)) {
			continue
		}
		if !slices.Contains(given, a) {
			return a
		}
	}
	return netip.Addr{}
}

// Whatever the pools and obstacles are, a subnet that is chosen is one of a pool's and overlaps none of them.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 8, 16}, []byte{10, 0, 0, 0, 16})
	f.Add([]byte{172, 17, 0, 0, 16, 16}, []byte{172, 17, 4, 0, 24})
	f.Fuzz(func(t *testing.T, pools, obstacles []byte) {
		var ps []Pool
		for ; len(pools) >= 6 && len(ps) < 8; pools = pools[6:] {
			bits := int(pools[4]) % 33
			ps = append(ps, Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte(pools[:4])), bits).Masked(), min(32, bits+int(pools[5])%12)})
		}
		var taken []netip.Prefix
		for ; len(obstacles) >= 5 && len(taken) < 64; obstacles = obstacles[5:] {
			taken = append(taken, netip.PrefixFrom(netip.AddrFrom4([4]byte(obstacles[:4])), int(obstacles[4])%33))
		}
		got, err := Choose(ps, false, taken, nil)
		if err != nil {
			return
		}
		if Overlaps(got, taken) || got != got.Masked() {
			t.Fatalf("%s of %v beside %v", got, ps, taken)
		}
		if !slices.ContainsFunc(ps, func(p Pool) bool { return p.Size == got.Bits() && p.Base.Contains(got.Addr()) }) {
			t.Fatalf("%s is of none of %v", got, ps)
		}
	})
}
