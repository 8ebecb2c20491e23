package resolver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/miekg/dns"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Bounds of a table.
const (
	maxNames     = 64 << 10
	maxAddresses = 4096 // of one name.
)

// Names is the table of a container. It outlives the resolver that answers from it.
type Names struct{ now atomic.Pointer[table] }

type table struct {
	generation uint64
	names      map[string]entry  // lower case, with the final dot.
	pointers   map[string]string // by the name that is asked, in-addr.arpa or ip6.arpa.
}

type entry struct{ v4, v6 []netip.Addr }

// Set replaces the table, if t is newer.
func (n *Names) Set(t *guestv1.NameTable) error {
	fresh, err := parse(t)
	if err != nil {
		return err
	}
	for {
		old := n.now.Load()
		if old != nil && old.generation >= fresh.generation {
			return nil
		}
		if n.now.CompareAndSwap(old, fresh) {
			return nil
		}
	}
}

func parse(t *guestv1.NameTable) (*table, error) {
	if len(t.GetNames()) > maxNames || len(t.GetPointers()) > maxNames {
		return nil, fmt.Errorf("a table of %d names and %d pointers: %w", len(t.GetNames()), len(t.GetPointers()), errdefs.ErrInvalidArgument)
	}
	out := &table{generation: t.GetGeneration(), names: make(map[string]entry, len(t.GetNames())), pointers: make(map[string]string, len(t.GetPointers()))}
	for _, n := range t.GetNames() {
		if len(n.Addresses) > maxAddresses {
			return nil, fmt.Errorf("name %q has %d addresses: %w", n.Name, len(n.Addresses), errdefs.ErrInvalidArgument)
		}
		name := canonical(n.Name)
		e := out.names[name]
		for _, s := range n.Addresses {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("name %q: %w: %w", n.Name, err, errdefs.ErrInvalidArgument)
			}
			if a = a.Unmap().WithZone(""); a.Is4() {
				e.v4 = append(e.v4, a)
			} else {
				e.v6 = append(e.v6, a)
			}
		}
		out.names[name] = e
	}
	for _, p := range t.GetPointers() {
		rev, err := dns.ReverseAddr(p.Address)
		if err != nil {
			return nil, fmt.Errorf("pointer of %q: %w: %w", p.Address, err, errdefs.ErrInvalidArgument)
		}
		out.pointers[rev] = dns.Fqdn(p.Name)
	}
	return out, nil
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// lookup finds a name.
func (n *Names) lookup(name string) (entry, bool) {
	t := n.now.Load()
	if t == nil {
		return entry{}, false
	}
	e, ok := t.names[canonical(name)]
	return e, ok
}

// pointer finds the name of an address.
func (n *Names) pointer(name string) (string, bool) {
	t := n.now.Load()
	if t == nil {
		return "", false
	}
	p, ok := t.pointers[canonical(name)]
	return p, ok
}

// turn gives addresses beginning with any of them, so that each is the first in its turn.
func turn(list []netip.Addr) []netip.Addr {
	if len(list) < 2 {
		return list
	}
	i := rand.IntN(len(list))
	return append(append(make([]netip.Addr, 0, len(list)), list[i:]...), list[:i]...)
}
