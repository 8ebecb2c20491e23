package uplink

import (
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf   = "/etc/resolv.conf"
	maxResolvers = 3
	statInterval = time.Second
)

// resolvers are the host's, read anew when the file changes.
type resolvers struct {
	mu      sync.Mutex
	looked  time.Time
	changed time.Time // the file's, when it was read.
	size    int64
	all     []netip.AddrPort
}

// list returns the resolvers to ask, in order.
func (r *resolvers) list(s *Settings) []netip.AddrPort {
	if len(s.Resolvers) > 0 {
		var out []netip.AddrPort
		for _, a := range s.Resolvers {
			out = append(out, netip.AddrPortFrom(a, dnsPort))
		}
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < statInterval {
		return r.all
	}
	r.looked = time.Now()
	st, err := os.Stat(resolvConf)
	if err != nil || st.ModTime().Equal(r.changed) && st.Size() == r.size {
		return r.all
	}
	c, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return r.all // It is being written.
	}
	r.changed, r.size, r.all = st.ModTime(), st.Size(), nil
	for _, s := range c.Servers[:min(len(c.Servers), maxResolvers)] {
		if a, err := netip.ParseAddr(s); err == nil {
			r.all = append(r.all, netip.AddrPortFrom(a, dnsPort))
		}
	}
	return r.all
}
