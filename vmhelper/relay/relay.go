package relay

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
)

// Relay is a packet switch. Its methods may be called from any goroutine, but not from a function that receives frames.
type Relay struct {
	log      hclog.Logger
	writeFD  func(fd int, p []byte) error
	snapshot atomic.Pointer[snapshot]
	totals   totals
	gone     traffic // of links that are gone.

	mu      sync.Mutex
	closed  bool
	poller  *poller // nil until the first link.
	table   *table
	jacks   map[LinkKey]*jack
	portals map[string]*Portal
	counted map[string]*counters
}

// New makes a relay that knows nothing.
func New(cfg Config) *Relay {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.write == nil {
		cfg.write = writeFD
	}
	r := &Relay{
		log: cfg.Log, writeFD: cfg.write, table: newTable(), jacks: map[LinkKey]*jack{}, portals: map[string]*Portal{}, counted: map[string]*counters{},
	}
	r.snapshot.Store(r.build(r.table))
	return r
}

func (r *Relay) jackLocked(key LinkKey) *jack {
	j := r.jacks[key]
	if j == nil {
		j = &jack{key: key}
		r.jacks[key] = j
	}
	return j
}

// Attach takes over f, a non-blocking TAP or connected datagram socket, for the link: it is closed by Detach, by Close,
// by the next Attach of the same link, and when Attach fails.
func (r *Relay) Attach(key LinkKey, f *os.File, o LinkOptions) error {
	l, err := newLink(r, f, o)
	if err != nil {
		return fmt.Errorf("attach link %s: %w", key.Name, err)
	}
	was, err := r.plug(key, l)
	if err != nil {
		return errors.Join(fmt.Errorf("attach link %s: %w", key.Name, err), l.close())
	}
	r.log.Debug("attached link", "sandbox", key.Sandbox, "link", key.Name, "header", o.VnetHeader, "mtu", o.MTU)
	return was.end()
}

// plug puts a link into its jack and gives the one that was there.
func (r *Relay) plug(key LinkKey, l *link) (was *link, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("the relay is closed: %w", errdefs.ErrUnavailable)
	}
	if r.poller == nil {
		if r.poller, err = newPoller(); err != nil {
			return nil, err
		}
	}
	l.jack = r.jackLocked(key)
	if err := l.watch(); err != nil {
		return nil, err
	}
	return l.jack.link.Swap(l), nil
}

// Detach closes the link's descriptor once nothing of the relay uses it. Detaching an absent link succeeds.
func (r *Relay) Detach(key LinkKey) error {
	r.mu.Lock()
	var l *link
	if j := r.jacks[key]; j != nil {
		l = j.link.Swap(nil)
	}
	r.mu.Unlock()
	return l.end()
}

// Sync replaces the table.
func (r *Relay) Sync(t Table) error {
	next := newTable()
	next.change(Change{Networks: t.Networks, Endpoints: t.Endpoints, OVS: t.OVS})
	return r.take(func(*table) *table { return next })
}

// Change changes the table, as a whole or not at all: removals first, then networks, then endpoints. What has a
// generation that is not newer than that in the table is left alone.
func (r *Relay) Change(c Change) error {
	return r.take(func(t *table) *table {
		next := t.clone()
		next.change(c)
		return next
	})
}

func (r *Relay) take(change func(*table) *table) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := change(r.table)
	if err := next.check(); err != nil {
		return err
	}
	r.table = next
	r.snapshot.Store(r.build(next))
	return nil
}

// Counters of the endpoints with those IDs that the table knows, or of all; and the relay's own: frames that were
// dropped, by cause, and what its links read and wrote.
func (r *Relay) Counters(ids ...string) ([]EndpointCounters, map[string]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []EndpointCounters
	if len(ids) == 0 {
		for id, c := range r.counted {
			out = append(out, c.read(id))
		}
	}
	for _, id := range ids {
		if c := r.counted[id]; c != nil {
			out = append(out, c.read(id))
		}
	}
	own := make(map[string]uint64, int(causes)+4)
	for c := queued; c < causes; c++ {
		own[causeNames[c]] = r.totals[c].Load()
	}
	sums := r.gone.sums()
	for _, j := range r.jacks {
		if l := j.link.Load(); l != nil {
			sums.add(l.traffic.sums())
		}
	}
	own["reads"], own["read_bytes"], own["wakeups"] = sums.reads, sums.bytes, sums.wakeups
	return out, own
}

// Close detaches all links and waits for their goroutines.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	poller := r.poller
	r.poller = nil
	var links []*link
	for _, j := range r.jacks {
		if l := j.link.Swap(nil); l != nil {
			links = append(links, l)
		}
	}
	r.mu.Unlock()
	var first error
	for _, l := range links {
		if err := l.end(); err != nil && first == nil {
			first = err
		}
	}
	if poller != nil {
		if err := poller.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
