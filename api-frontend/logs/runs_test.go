package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestEachRunHasItsReaders: whoever follows a run gets all of it and nothing of the next, however late it reads.
func TestEachRunHasItsReaders(t *testing.T) {
	l := open(t, config(t, JSONFile))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	gates := [3]*gatedWriter{}
	for i := range gates {
		gates[i] = &gatedWriter{open: make(chan struct{})}
	}
	var wg sync.WaitGroup
	o := both
	o.Follow, o.Raw = true, true
	wg.Go(func() { must(t, l.Read(t.Context(), o, gates[0])) })
	for i, withLogs := range []bool{false, true} {
		sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Raw: true, Logs: withLogs})
		must(t, err)
		wg.Go(func() { must(t, sub.Copy(t.Context(), gates[1+i])) })
	}
	waitReaders(l, 3)
	first := strings.Repeat("first run\n", 500_000)
	must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte(first)}}))
	must(t, l.EndRun())
	must(t, l.StartRun(2))
	must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte("second run\n")}}))
	for i := range gates {
		close(gates[i].open)
	}
	wg.Wait()
	for i := range gates {
		if got := gates[i].String(); got != first {
			t.Errorf("reader %d got %d bytes of %d, end %q", i, len(got), len(first), got[max(0, len(got)-20):])
		}
	}
}

// TestHistoryThenNextRun attaches, with the log, to a container that does not run yet.
func TestHistoryThenNextRun(t *testing.T) {
	for _, quick := range []bool{true, false} {
		l := open(t, config(t, Local))
		must(t, l.StartRun(1))
		feed(t, l, 0, 100)
		must(t, l.EndRun())
		sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true, Raw: true, Logs: true})
		must(t, err)
		w := &gatedWriter{open: make(chan struct{})}
		if quick {
			close(w.open)
		}
		var wg sync.WaitGroup
		wg.Go(func() { must(t, sub.Copy(t.Context(), w)) })
		must(t, l.StartRun(2))
		long := strings.Repeat("long line of the second run\n", 200_000)
		must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte(long)}, {1, uint64(len(long)), start, []byte("prompt")}}))
		if !quick {
			close(w.open)
		}
		must(t, l.EndRun())
		wg.Wait()
		if got, want := w.String(), lines(0, 100, 1, 2)+long+"prompt"; got != want {
			t.Errorf("got %d bytes of %d", len(got), len(want))
		}
		must(t, l.Close())
	}
}

// TestFollowUntil ends when its time has come, without another record.
func TestFollowUntil(t *testing.T) {
	l := open(t, config(t, JSONFile))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	feed(t, l, 0, 10)
	o := both
	o.Follow, o.Until = true, time.Now().Add(30*time.Millisecond)
	if got := readRaw(t, l, o); got != lines(0, 10, 1, 2) {
		t.Errorf("read %q", got)
	}
}

// TestForeignGzip counts the records of a compressed file that does not tell how many it has.
func TestForeignGzip(t *testing.T) {
	c := config(t, JSONFile, "max-size", "1m", "max-file", "3", "compress", "true")
	path := c.Dir + "/" + zeroID + "-json.log"
	var b []byte
	for range 3 {
		b = append(b, `{"log":"old\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}`+"\n"...)
	}
	b = append(b, `{"log":"last\n","stream":"stdout","time":"2024-01-02T03:04:06Z","pos":[5,17,3]}`+"\n"...)
	f, err := os.Create(path + ".1.gz")
	must(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write(b)
	must(t, err)
	must(t, z.Close())
	must(t, f.Close())
	l := open(t, c)
	defer func() { _ = l.Close() }()
	if r, o, e := l.Offsets(); r != 5 || o != 17 || e != 3 {
		t.Errorf("offsets %d %d %d", r, o, e)
	}
	for tail, want := range map[int]string{All: "old\nold\nold\nlast\n", 2: "old\nlast\n", 9: "old\nold\nold\nlast\n"} {
		if got := readRaw(t, l, ReadOptions{Stdout: true, Tail: tail}); got != want {
			t.Errorf("tail %d: %q", tail, got)
		}
	}
}

// TestPumpEnds with its context, with its connection, and with what the agent must not say.
func TestPumpEnds(t *testing.T) {
	l := open(t, config(t, JSONFile))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	for name, pair := range map[string]func() (net.Conn, net.Conn){
		"pipe": net.Pipe, "socket": func() (net.Conn, net.Conn) { return socketPair(t) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			host, guest := pair()
			done := make(chan error, 1)
			go func() { done <- Pump(ctx, host, l) }()
			gone := errors.New("the frontend stops")
			cancel(gone)
			if err := <-done; !errors.Is(err, gone) {
				t.Errorf("cancelled: %v", err)
			}
			must(t, guest.Close())

			host, guest = pair()
			go func() { done <- Pump(t.Context(), host, l) }()
			must(t, guest.Close())
			if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) && err == nil {
				t.Errorf("cut: %v", err)
			}

			host, guest = pair()
			go func() { done <- Pump(t.Context(), host, l) }()
			_, err := guest.Write(bytes.Repeat([]byte{9}, 24))
			must(t, err)
			if err := <-done; err == nil || !strings.Contains(err.Error(), "unknown stream 9") {
				t.Errorf("garbage: %v", err)
			}
			must(t, guest.Close())
		})
	}
}

func TestClosedLog(t *testing.T) {
	l := open(t, config(t, JSONFile))
	sub, err := l.Subscribe(SubscribeOptions{Stdout: true})
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- sub.Copy(t.Context(), io.Discard) }()
	must(t, l.Close())
	must(t, <-done)
	must(t, l.Close())
	for what, err := range map[string]error{
		"start": l.StartRun(1), "end": l.EndRun(), "append": l.Append(t.Context(), nil), "read": l.Read(t.Context(), both, io.Discard),
	} {
		if err == nil {
			t.Errorf("%s on a closed log succeeds", what)
		}
	}
	if _, err := l.Subscribe(SubscribeOptions{Logs: true}); err == nil {
		t.Error("subscribed to a closed log")
	}
}

// TestClosedBeforeCopy leaves nothing of a client that was never served.
func TestClosedBeforeCopy(t *testing.T) {
	l := open(t, config(t, Local))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	feed(t, l, 0, 10)
	before := descriptors(t)
	for range 50 {
		sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Logs: true})
		must(t, err)
		sub.Close()
		must(t, sub.Copy(t.Context(), nil))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readers)+len(l.subs) > 0 || l.run.ring != nil || descriptors(t) > before {
		t.Errorf("%d readers, %d subscribers are left", len(l.readers), len(l.subs))
	}
}

// TestKeptFilesAreBounded: a reader that stalls over more rotated files than are kept open finds them by name.
func TestKeptFilesAreBounded(t *testing.T) {
	for _, compress := range []string{"false", "true"} {
		l := open(t, config(t, JSONFile, "max-size", "1k", "max-file", "290", "compress", compress))
		must(t, l.StartRun(1))
		feed(t, l, 0, 10)
		w := &gatedWriter{open: make(chan struct{})}
		o := both
		o.Follow, o.Raw = true, true
		var wg sync.WaitGroup
		wg.Go(func() { must(t, l.Read(t.Context(), o, w)) })
		waitReaders(l, 1)
		const n = 2600
		feed(t, l, 10, n)
		l.mu.Lock()
		if len(l.kept) > maxKept || l.cur.gen <= maxKept {
			t.Errorf("%d files are kept open after %d rotations", len(l.kept), l.cur.gen)
		}
		l.mu.Unlock()
		close(w.open)
		must(t, l.EndRun())
		wg.Wait()
		if got := w.String(); got != lines(0, n, 1, 2) {
			t.Errorf("followed %d bytes of %d", len(got), len(lines(0, n, 1, 2)))
		}
		must(t, l.Close())
	}
}
