package stdio

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/internal/guestwire"
)

// A reader that has taken a record must see what the record grew by, though other records came after it.
func TestRecordThatGrowsBehindTheReader(t *testing.T) {
	s := NewSpool(t.TempDir())
	put := func(i guestwire.Stream, n int) {
		t.Helper()
		data := pattern(i, s.taken(i), n)
		if m, err := s.fill(i, func(b []byte) (int, error) { return copy(b, data), nil }); m != n || err != nil {
			t.Fatal(m, err)
		}
	}
	agent, conn := pair(t)
	defer func() { _ = conn.Close() }()
	r := &reader{s: s, conn: agent}
	defer func() { _ = agent.Close() }()
	sent := func() (n uint64) { return r.sent[1] + r.sent[2] }
	put(guestwire.Stdout, 100)
	if _, err := r.gather(t.Context()); err != nil || sent() != 100 {
		t.Fatal(err, sent())
	}
	s.records[len(s.records)-1].nanos = time.Now().Add(time.Hour).UnixNano() // So that the next read joins it.
	put(guestwire.Stdout, 50)
	put(guestwire.Stderr, 10)
	if len(s.records) != 2 {
		t.Fatalf("%d records", len(s.records))
	}
	if _, err := r.gather(t.Context()); err != nil || r.sent[guestwire.Stdout] != 150 || r.sent[guestwire.Stderr] != 10 {
		t.Fatalf("%v: sent %v", err, r.sent)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolFillsMemoryThenFileThenBlocks(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	s, out := pumped(t, dir)
	const total = MemorySize + FileSize + 3*pipeSize
	var wg sync.WaitGroup
	src := out[guestwire.Stdout]
	wg.Go(func() {
		for src.total < total {
			if err := src.write(64 << 10); err != nil {
				t.Error(err)
				return
			}
		}
	})
	eventually(t, "the spool is full", func() bool { return s.taken(guestwire.Stdout) == MemorySize+FileSize })
	time.Sleep(20 * time.Millisecond) // Whatever would still be taken.
	if n := s.taken(guestwire.Stdout); n != MemorySize+FileSize {
		t.Fatalf("%d bytes were taken", n)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Fatalf("the file has a name: %v, %v", list, err)
	}
	h := &host{t: t}
	x := h.open(s)
	ended := make(chan struct{})
	go func() { defer close(ended); x.drain() }()
	wg.Wait()
	finish(t, s, out)
	<-ended
	if h.have[guestwire.Stdout] != total || h.ends != 1 {
		t.Fatalf("%d of %d bytes, %d ends", h.have[guestwire.Stdout], total, h.ends)
	}
	if fi, err := s.file.f.Stat(); err != nil || fi.Size() != 0 {
		t.Fatalf("the file keeps %d bytes: %v", fi.Size(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Every byte of both streams comes exactly once and in order, whatever the readers do.
func TestReadersThatAreCutAndReplaced(t *testing.T) {
	defer goleak.VerifyNone(t)
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		s, out := pumped(t, t.TempDir())
		total := map[guestwire.Stream]uint64{guestwire.Stdout: 3<<20 + rnd.Uint64N(1<<20), guestwire.Stderr: rnd.Uint64N(2 << 20)}
		var wg sync.WaitGroup
		for i, src := range out {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			wg.Go(func() {
				for src.total < total[i] {
					n := 1 + r.IntN(64)
					if r.IntN(4) == 0 {
						n = 1 + r.IntN(100<<10)
					}
					if err := src.write(min(n, int(total[i]-src.total))); err != nil {
						t.Error(err)
						return
					}
					if r.IntN(20) == 0 {
						time.Sleep(time.Duration(r.IntN(2)) * time.Millisecond)
					}
				}
			})
		}
		h := &host{t: t}
		for range 40 {
			x := h.open(s)
			_ = x.conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
			for range rnd.IntN(30) {
				if more, err := x.frame(rnd.IntN(3) > 0); err != nil || !more {
					break
				}
			}
			switch rnd.IntN(4) {
			case 0: // Half a frame's header.
				var b [guestwire.HeaderSize / 2]byte
				_, _ = x.conn.Read(b[:])
				x.close()
			case 1: // The next one comes before this one has left.
				y := h.open(s)
				select { // Either may have come last.
				case err := <-x.done:
					if err != nil && !errors.Is(err, ErrReplaced) {
						t.Errorf("replaced: %v", err)
					}
					x.done <- err
				case err := <-y.done:
					y.done <- err
				}
				x.close()
				y.close()
			case 2: // Half an acknowledgement.
				_, _ = x.conn.Write(make([]byte, 1))
				x.close()
			default:
				x.close()
			}
		}
		last := h.open(s)
		ended := make(chan struct{})
		go func() { defer close(ended); last.drain() }()
		wg.Wait()
		finish(t, s, out)
		<-ended
		for i, n := range total {
			if h.have[i] != n {
				t.Errorf("seed %d: stream %d: %d of %d bytes", seed, i, h.have[i], n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *session) close0() { _ = x.conn.Close() }

func TestAcknowledgementsThatMakeNoSense(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, out := pumped(t, t.TempDir())
	if err := out[guestwire.Stdout].write(1000); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bytes are taken", func() bool { return s.taken(guestwire.Stdout) == 1000 })
	for name, c := range map[string]struct {
		stream guestwire.Stream
		offset uint64
	}{
		"beyond":         {guestwire.Stdout, 1001},
		"overflow":       {guestwire.Stdout, ^uint64(0)},
		"other stream":   {guestwire.Stderr, 1},
		"unknown stream": {9, 0},
		"end":            {guestwire.End, 0},
	} {
		h := &host{t: t}
		x := h.open(s)
		if _, err := x.frame(false); err != nil {
			t.Fatal(name, err)
		}
		if err := x.ack(c.stream, c.offset); err != nil {
			t.Fatal(name, err)
		}
		if err := <-x.done; err == nil {
			t.Errorf("%s: no error", name)
		}
		x.close0()
	}
	h := &host{t: t}
	x := h.open(s)
	if _, err := x.frame(true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is freed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.records) == 0 })
	if err := x.ack(guestwire.Stdout, 3); err != nil { // Late: below what was acknowledged.
		t.Fatal(err)
	}
	if err := out[guestwire.Stdout].write(10); err != nil {
		t.Fatal(err)
	}
	if _, err := x.frame(true); err != nil || h.have[guestwire.Stdout] != 1010 {
		t.Fatal(err, h.have)
	}
	finish(t, s, out)
	x.drain()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A reader that keeps nothing asks from the start and gets what there is.
func TestReaderThatKeepsNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, out := pumped(t, t.TempDir())
	src := out[guestwire.Stdout]
	if err := src.write(5000); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bytes are taken", func() bool { return s.taken(guestwire.Stdout) == 5000 })
	if err := s.Acknowledge(guestwire.Stdout, 1234); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(0, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(5001, 0); err == nil {
		t.Fatal("bytes that were never written can be asked for")
	}
	agent, conn := pair(t)
	h := &host{t: t}
	h.have[guestwire.Stdout] = 1234
	x := &session{h: h, conn: conn, done: make(chan error, 1)}
	go func() { x.done <- s.Serve(t.Context(), agent, 0, 0) }()
	finish(t, s, out)
	x.drain()
	if h.have[guestwire.Stdout] != 5000 {
		t.Fatal(h.have)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that cannot be made or written holds the process up, and loses nothing.
func TestDiskIsFull(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, name := range []string{"no file", "no room"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name == "no file" {
				dir += "/absent"
			}
			s, out := pumped(t, dir)
			if name == "no room" {
				f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
				if err != nil {
					t.Skip(err)
				}
				s.mu.Lock() // The pump looks already.
				s.file = &spill{ring: ring{size: FileSize}, f: f}
				s.mu.Unlock()
			}
			src := out[guestwire.Stdout]
			var wg sync.WaitGroup
			const total = MemorySize + 3*pipeSize
			wg.Go(func() {
				for src.total < total {
					if err := src.write(10_000 - int(src.total%100)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			eventually(t, "memory is full", func() bool { return s.taken(guestwire.Stdout) == MemorySize })
			h := &host{t: t}
			x := h.open(s)
			ended := make(chan struct{})
			go func() { defer close(ended); x.drain() }()
			wg.Wait()
			finish(t, s, out)
			<-ended
			if h.have[guestwire.Stdout] != src.total {
				t.Fatalf("%d of %d bytes", h.have[guestwire.Stdout], src.total)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCloseEndsEverybody(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, out := pumped(t, t.TempDir()+"/absent")
	src := out[guestwire.Stdout]
	var wg sync.WaitGroup
	wg.Go(func() {
		for src.write(64<<10) == nil {
		}
	})
	eventually(t, "memory is full", func() bool { return s.taken(guestwire.Stdout) == MemorySize })
	h := &host{t: t}
	x := h.open(s) // Reads nothing.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-x.done; err == nil {
		t.Error("the reader knows nothing")
	}
	x.close0()
	wg.Wait()
	_ = out[guestwire.Stderr].w.Close()
	for _, o := range out {
		if err := <-o.done; err != nil {
			t.Error(err)
		}
	}
	y := h.open(s)
	if err := <-y.done; err == nil {
		t.Error("a closed spool serves")
	}
	y.close0()
}
