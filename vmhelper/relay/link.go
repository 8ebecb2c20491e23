package relay

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
)

// batch is how many frames are read before the reader looks whether its link is being closed.
const batch = 64

// maxFailures of a descriptor in a row end its reader: a datagram socket tells once that its peer has gone.
const maxFailures = 16

// link is an attached descriptor.
type link struct {
	relay     *Relay
	jack      *jack
	file      *os.File
	raw       syscall.RawConn
	fd        int
	vnet, mtu int
	checksums bool
	segments  bool
	users     atomic.Int64 // who may use fd now; see enter.
	left      chan struct{}
	queue     queue
	traffic   traffic
	running   sync.WaitGroup
	closing   chan struct{}
	seen      *snapshot // seen and view are the reader's own.
	view      *view
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
	f, err := pollable(f)
	if err != nil {
		return nil, err
	}
	l := &link{
		relay: r, file: f, vnet: o.VnetHeader, mtu: int(o.MTU), checksums: o.Checksums, segments: o.Segments,
		left: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if l.mtu == 0 {
		l.mtu = maxPayload
	}
	if l.raw, err = f.SyscallConn(); err == nil {
		err = l.raw.Control(func(fd uintptr) { l.fd = int(fd) })
	}
	if err == nil {
		err = setUp(l.fd, o)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
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

// pollable gives a file whose readiness the runtime watches; f itself, or a duplicate in its place.
func pollable(f *os.File) (*os.File, error) {
	if f.SetReadDeadline(time.Time{}) == nil {
		return f, nil
	}
	defer func() { _ = f.Close() }()
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, problem := -1, error(nil)
	if err := c.Control(func(was uintptr) { fd, problem = duplicate(int(was)) }); err != nil {
		return nil, err
	}
	if problem != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", problem)
	}
	d := os.NewFile(uintptr(fd), f.Name())
	if err := d.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("watch descriptor: %w", err), d.Close())
	}
	return d, nil
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

// start begins to read.
func (l *link) start() {
	l.running.Go(l.read)
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
	l.queue.close()
	err := l.file.Close() // The reader and the queue's goroutine wake up.
	l.running.Wait()
	return err
}

// read carries what arrives until the link is closed or its other end is gone.
func (l *link) read() {
	var f *frame
	failures, failed := 0, error(nil)
	receive := func(uintptr) bool {
		f = frames.Get().(*frame)
		l.traffic.wakeups.Add(1)
		defer func() {
			frames.Put(f)
			f = nil
		}()
		for range batch {
			n, err := readFD(l.fd, f.data[headroom-l.vnet:])
			switch {
			case err == nil:
				failures = 0
				l.traffic.reads.Add(1)
				l.traffic.bytes.Add(uint64(n))
				if why := f.adopt(l.vnet, n); why != carried {
					l.relay.totals.add(why)
					continue
				}
				l.relay.ingress(l, f)
			case wouldBlock(err):
				return false
			case !interrupted(err):
				failures, failed = failures+1, err
				return true
			}
		}
		return true
	}
	for failures < maxFailures {
		if err := l.raw.Read(receive); err != nil {
			return // Closed.
		}
	}
	l.relay.log.Debug("link is dead", "link", l.jack.key.Name, "err", failed)
}
