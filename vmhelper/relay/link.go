package relay

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
)

// batch is how many frames are read before the reader looks whether its link is being closed.
const batch = 64

// maxFailures of a descriptor in a row end its reader: a datagram socket tells once that its peer has gone.
const maxFailures = 16

// link is an attached descriptor.
type link struct {
	descriptor
	relay               *Relay
	jack                *jack
	fd                  int
	vnet, mtu           int
	checksums, segments bool
	users               atomic.Int64 // who may use fd now; see enter.
	left                chan struct{}
	queue               queue
	traffic             traffic
	running             sync.WaitGroup
	closing             chan struct{}

	reading  sync.Mutex // of whoever reads now; what follows is its.
	seen     *snapshot
	view     *view
	failures int
}

// traffic is what a link read: bytes by read tell how large the segments are that guests send.
type traffic struct{ reads, bytes, wakeups atomic.Uint64 }

type trafficSums struct{ reads, bytes, wakeups uint64 }

func (t *traffic) sums() trafficSums {
	return trafficSums{t.reads.Load(), t.bytes.Load(), t.wakeups.Load()}
}

func (s *trafficSums) add(o trafficSums) {
	s.reads += o.reads
	s.bytes += o.bytes
	s.wakeups += o.wakeups
}

// newLink takes over f.
func newLink(r *Relay, f *os.File, o LinkOptions) (*link, error) {
	if err := o.check(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &link{
		relay: r, vnet: o.VnetHeader, mtu: int(o.MTU), checksums: o.Checksums, segments: o.Segments,
		left: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if l.mtu == 0 {
		l.mtu = maxPayload
	}
	if err := l.open(f); err != nil {
		return nil, err
	}
	if err := setUp(l.fd, o); err != nil {
		return nil, errors.Join(err, l.shut())
	}
	return l, nil
}

func (o LinkOptions) check() error {
	if o.VnetHeader != 0 && o.VnetHeader != headerLen && o.VnetHeader != headerLen-2 {
		return fmt.Errorf("check header of %d bytes: %w", o.VnetHeader, errdefs.ErrInvalidArgument)
	}
	if o.MTU > maxPayload {
		return fmt.Errorf("check MTU of %d bytes: %w", o.MTU, errdefs.ErrInvalidArgument)
	}
	if o.VnetHeader == 0 && (o.Checksums || o.Segments) || o.Segments && !o.Checksums {
		return fmt.Errorf("check offloads: they need a header, and segments need checksums: %w", errdefs.ErrInvalidArgument)
	}
	return nil
}

// duplicateFile gives a non-blocking copy of f's descriptor that no file of the runtime's has.
func duplicateFile(f *os.File) (int, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, problem := -1, error(nil)
	if err := c.Control(func(was uintptr) { fd, problem = duplicate(int(was)) }); err != nil {
		return -1, err
	}
	if problem != nil {
		return -1, fmt.Errorf("duplicate descriptor: %w", problem)
	}
	return fd, nil
}

// away is added to the users of a link that is being closed.
const away = math.MinInt64 / 2

// enter takes the right to use fd until leave. It never waits.
func (l *link) enter() bool {
	if l.users.Add(1) > 0 {
		return true
	}
	l.leave()
	return false
}

func (l *link) leave() {
	if l.users.Add(-1) == away {
		select {
		case l.left <- struct{}{}:
		default:
		}
	}
}

// end closes a link that is out of its jack.
func (l *link) end() error {
	if l == nil {
		return nil
	}
	close(l.closing)
	err := l.close()
	l.relay.gone.take(l.traffic.sums())
	return err
}

func (t *traffic) take(s trafficSums) {
	t.reads.Add(s.reads)
	t.bytes.Add(s.bytes)
	t.wakeups.Add(s.wakeups)
}

func (l *link) close() error {
	if l.users.Add(away) != away {
		<-l.left
	}
	l.queue.close() // Whoever empties it wakes up.
	err := l.shut()
	l.running.Wait()
	return err
}

// receive reads a batch; failed: the descriptor is said to have failed, not to have frames. It tells whether the link
// is alive.
func (l *link) receive(failed bool) bool {
	l.reading.Lock()
	defer l.reading.Unlock()
	alive, _ := l.receiveBatch()
	if failed {
		l.failures++
	}
	return alive && l.failures < maxFailures
}

// receiveBatch carries what is there, up to a batch: full. alive: there is no reason to stop reading.
func (l *link) receiveBatch() (alive, full bool) {
	l.traffic.wakeups.Add(1)
	f := frames.Get().(*frame)
	defer frames.Put(f)
	for range batch {
		n, err := readFD(l.fd, f.data[headroom-l.vnet:])
		switch {
		case err == nil:
			l.failures = 0
			l.traffic.reads.Add(1)
			l.traffic.bytes.Add(uint64(n))
			if why := f.adopt(l.vnet, n); why != carried {
				l.relay.totals.add(why)
				continue
			}
			l.relay.ingress(l, f)
		case wouldBlock(err):
			return true, false
		case !interrupted(err):
			if l.failures++; l.failures >= maxFailures {
				l.relay.log.Debug("link is dead", "link", l.jack.key.Name, "err", err)
				return false, false
			}
			return true, true
		}
	}
	return true, true
}
