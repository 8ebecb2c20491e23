package relay

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func numbered(a, b Endpoint, i int) []byte {
	return udp4(a, b, 1, 2, binary.BigEndian.AppendUint32(make([]byte, 1000), uint32(i)))
}

func number(f []byte) int { return int(binary.BigEndian.Uint32(f[len(f)-4:])) }

// TestFullLinkDelaysNobody: what it does not take waits, in order, and the oldest falls; others go on.
func TestFullLinkDelaysNobody(t *testing.T) {
	n := newNet(t)
	a, slow, b := n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(host(3))
	const many = 8000 // Some 8 MB: far more than socket and queue hold.
	buf := make([]byte, 2048)
	for i := range many {
		a.send(t, numbered(a.Endpoint, slow.Endpoint, i))
		if i%100 == 0 {
			a.send(t, numbered(a.Endpoint, b.Endpoint, i))
			if got := number(b.receive(t, buf)); got != i {
				t.Fatalf("got %d, want %d", got, i)
			}
		}
	}
	a.send(t, numbered(a.Endpoint, b.Endpoint, many)) // All before it are read, and dropped or waiting.
	b.receive(t, buf)
	_, own := n.Counters()
	fell := int(own["queue_full"])
	if fell == 0 {
		t.Fatal("nothing fell")
	}
	last := -1
	for i := range many - fell {
		got := number(slow.next(t))
		if got <= last {
			t.Fatalf("frame %d: %d after %d", i, got, last)
		}
		last = got
	}
	if last != many-1 {
		t.Fatalf("the last one is %d", last)
	}
	slow.silent(t)
	a.send(t, numbered(a.Endpoint, slow.Endpoint, 1)) // Straight again.
	slow.next(t)
}

// TestNoBuffers: the descriptor answers ENOBUFS as macOS does, without ever telling when it is ready.
func TestNoBuffers(t *testing.T) {
	var refuse atomic.Int64
	var tries atomic.Int64
	n := newNetOf(t, Config{write: func(fd int, p []byte) error {
		tries.Add(1)
		if refuse.Add(-1) >= 0 {
			return errNoBuffers
		}
		return writeFD(fd, p)
	}})
	a, b := n.endpoint(host(1)), n.endpoint(host(2))
	refuse.Store(20)
	for i := range 5 {
		a.send(t, numbered(a.Endpoint, b.Endpoint, i))
	}
	for i := range 5 {
		if got := number(b.next(t)); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	tries.Store(0)
	refuse.Store(1 << 40)
	a.send(t, numbered(a.Endpoint, b.Endpoint, 9))
	n.dropped(t, "dead_link", 1)
	if got := tries.Load(); got > maxTries+2 {
		t.Fatalf("%d tries for one frame", got)
	}
	refuse.Store(0)
	a.send(t, numbered(a.Endpoint, b.Endpoint, 10))
	if got := number(b.next(t)); got != 10 {
		t.Fatalf("got %d", got)
	}
}

// TestDetachWhileWaiting ends a link whose queue is being emptied.
func TestDetachWhileWaiting(t *testing.T) {
	for _, refused := range []error{errNoBuffers, errAgain} {
		var refuse atomic.Bool
		n := newNetOf(t, Config{write: func(fd int, p []byte) error {
			if refuse.Load() {
				return refused
			}
			return writeFD(fd, p)
		}})
		a, b := n.endpoint(host(1)), n.endpoint(host(2))
		refuse.Store(true)
		a.send(t, numbered(a.Endpoint, b.Endpoint, 0))
		n.dropped(t, "queued", 1)
		if err := n.Detach(b.Link); err != nil {
			t.Fatal(err)
		}
		a.send(t, numbered(a.Endpoint, b.Endpoint, 1))
		n.dropped(t, "no_link", 1)
	}
}

func TestDeadLink(t *testing.T) {
	n := newNet(t)
	a, b, c := n.endpoint(host(1)), n.endpoint(host(2)), n.endpoint(host(3))
	if err := b.file.Close(); err != nil {
		t.Fatal(err)
	}
	a.send(t, numbered(a.Endpoint, b.Endpoint, 0))
	n.dropped(t, "dead_link", 1)
	a.send(t, numbered(a.Endpoint, c.Endpoint, 1))
	c.next(t)
	again := n.station(b.Link) // Replaces it.
	a.send(t, numbered(a.Endpoint, b.Endpoint, 2))
	if got := number(again.next(t)); got != 2 {
		t.Fatalf("got %d", got)
	}
}

// TestQueueAgainstSlice compares the ring with a slice of slices.
func TestQueueAgainstSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var q queue
	var want [][]byte
	used := 0
	buf := make([]byte, bufferLen)
	for range 3000 {
		if r.IntN(5) > 1 {
			p := make([]byte, 1+r.IntN(60000))
			p[0], p[len(p)-1] = byte(r.Uint32()), byte(r.Uint32())
			_, fell := q.push(p)
			want = append(want, p)
			used += len(p) + lengthLen
			for used > queueLen {
				used -= len(want[0]) + lengthLen
				want = want[1:]
				fell--
			}
			if fell != 0 {
				t.Fatalf("%d more fell than should", fell)
			}
			continue
		}
		got, ok := q.pop(buf)
		if ok != (len(want) > 0) || ok && !bytes.Equal(got, want[0]) {
			t.Fatalf("popped %d bytes, %v; %d wait", len(got), ok, len(want))
		}
		if ok {
			used -= len(want[0]) + lengthLen
			want = want[1:]
		}
	}
	q.close()
	if _, fell := q.push([]byte{1}); fell != 1 {
		t.Fatal("a closed queue took a frame")
	}
}

// TestChurn attaches, detaches and changes under traffic; the race detector and the leak check are its assertions.
func TestChurn(t *testing.T) {
	n := newNet(t)
	a, g := n.endpoint(host(1)), n.endpoint(gatewayHost(9))
	before := descriptors(t)
	p := n.Portal(testNetwork)
	p.Receive(func([]byte) {})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		frames := [][]byte{
			udp4(a.Endpoint, host(2), 1, 2, make([]byte, 500)), udp4(a.Endpoint, g.Endpoint, 1, 2, nil),
			ethernet(broadcast, a.MAC, typeARP, arp(1, a.MAC, a.Addresses[0], host(2).Addresses[0])),
		}
		buf := make([]byte, bufferLen)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := a.file.Write(frames[i%3][headerLen:]); err != nil {
				return
			}
			_ = p.Write(udp4(g.Endpoint, host(2), 2, 1, nil))
			if i%64 == 0 {
				a.drain(buf)
				g.drain(buf)
			}
		}
	}()
	flow := Flow{Protocol: protoUDP, Remote: ap(g.Endpoint, 0, 2), Endpoint: ap(a.Endpoint, 0, 1)}
	for i := range 300 {
		e := host(2)
		e.Generation = uint64(i + 1)
		b := n.endpoint(e)
		if err := p.Open(flow); err != nil {
			t.Fatal(err)
		}
		n.Counters()
		if i%2 == 0 {
			_ = b.file.Close()
			b = n.station(e.Link)
		}
		p.Close(flow)
		var err error
		if i%3 == 0 {
			err = n.Change(Change{RemoveEndpoints: []string{e.ID}})
		}
		if err2 := n.Detach(e.Link); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		_ = b.file.Close()
	}
	close(stop)
	<-done
	for _, s := range []*station{a, g} {
		if err := n.Detach(s.Link); err != nil {
			t.Fatal(err)
		}
		_ = s.file.Close()
	}
	if after := descriptors(t); after > before {
		t.Fatalf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) (n int) {
	t.Helper()
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := int64(1e9)
	for i := range slowBurst {
		if !l.allow(now) {
			t.Fatalf("refused after %d", i)
		}
	}
	if l.allow(now) {
		t.Fatal("allowed more than a burst")
	}
	if now += int64(time.Second) / slowRate; !l.allow(now) || l.allow(now) {
		t.Fatal("refills wrongly")
	}
}
