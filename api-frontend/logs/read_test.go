package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arca-engine/arca/internal/guestwire"
)

const start = int64(1_700_000_000_000_000_000)

// feed appends lines "stream n" alternately, a second apart, each in a write of its own.
func feed(t *testing.T, l *Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		s := guestwire.Stream(1 + i%2)
		data := fmt.Appendf(nil, "line %06d of stream %d\n", i, s)
		l.mu.Lock()
		off := *l.written.offset(s)
		l.mu.Unlock()
		must(t, l.Append(t.Context(), []Chunk{{s, off, start + int64(i)*1e9, data}}))
	}
}

func lines(from, to int, streams ...int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		if s := 1 + i%2; slices.Contains(streams, s) {
			fmt.Fprintf(&b, "line %06d of stream %d\n", i, s)
		}
	}
	return b.String()
}

func readRaw(t *testing.T, l *Log, o ReadOptions) string {
	t.Helper()
	var b bytes.Buffer
	o.Raw = true
	must(t, l.Read(t.Context(), o, &b))
	return b.String()
}

// kinds are the shapes of a log on disk.
var kinds = map[string][]string{
	"json-file":            {JSONFile},
	"json-file rotated":    {JSONFile, "max-size", "20k", "max-file", "100"},
	"json-file compressed": {JSONFile, "max-size", "20k", "max-file", "100", "compress", "true"},
	"local":                {Local},
	"local rotated":        {Local, "max-size", "10k", "max-file", "100", "compress", "false"},
	"local compressed":     {Local, "max-size", "10k", "max-file", "100"},
}

func TestReadOptions(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			const n = 2000
			c := config(t, k[0], k[1:]...)
			l := open(t, c)
			must(t, l.StartRun(1))
			feed(t, l, 0, n/2)
			must(t, l.EndRun())
			must(t, l.StartRun(2))
			feed(t, l, n/2, n)
			must(t, l.Close())
			l = open(t, c)
			defer func() { _ = l.Close() }()
			l.compressing.Wait()
			if strings.Contains(name, "compressed") != exists(l.name(3)+gzipSuffix) {
				t.Fatal("compression of rotated files is not as asked for")
			}
			at := func(i int) time.Time { return time.Unix(0, start+int64(i)*1e9) }
			for _, tc := range []struct {
				o    ReadOptions
				want string
			}{
				{ReadOptions{Stdout: true, Stderr: true, Tail: All}, lines(0, n, 1, 2)},
				{ReadOptions{Stdout: true, Tail: All}, lines(0, n, 1)},
				{ReadOptions{Stderr: true, Tail: All}, lines(0, n, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 0}, ""},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 1}, lines(n-1, n, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 100}, lines(n-100, n, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 1234}, lines(n-1234, n, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: n}, lines(0, n, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 10 * n}, lines(0, n, 1, 2)},
				{ReadOptions{Stderr: true, Tail: 11}, lines(n-11, n, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: All, Since: at(700)}, lines(700, n, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: All, Until: at(700)}, lines(0, 701, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: All, Since: at(300), Until: at(1700)}, lines(300, 1701, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: 500, Since: at(100), Until: at(n - 200)}, lines(n-500, n-199, 1, 2)},
				{ReadOptions{Stdout: true, Stderr: true, Tail: All, Follow: true}, lines(0, n, 1, 2)},
			} {
				if got := readRaw(t, l, tc.o); got != tc.want {
					t.Errorf("%+v: %d bytes for %d: %.60q ... %.60q", tc.o, len(got), len(tc.want), got, tc.want)
				}
			}
		})
	}
}

func TestTimestampsAndDetails(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		c := config(t, driver, "labels", "b,missing", "env-regex", "^E", "tag", "{{.Name}}/{{.ID}}")
		c.Name, c.Labels, c.Env = "/web", map[string]string{"b": "x y&<", "c": "no"}, []string{"EF=1=2", "FE=3"}
		l := open(t, c)
		defer func() { _ = l.Close() }()
		must(t, l.StartRun(1))
		long := strings.Repeat("y", maxRecord) + "z\n"
		must(t, l.Append(t.Context(), []Chunk{{1, 0, start + 5, []byte("a\n")}, {1, 2, start + 1e9, []byte(long)}, {2, 0, start + 2e9, []byte("no end")}}))
		must(t, l.EndRun())
		const details = "EF=1%3D2,b=x+y%26%3C,tag=web%2F0123456789ab "
		want := "2023-11-14T22:13:20.000000005Z " + details + "a\n" +
			"2023-11-14T22:13:21.000000000Z " + details + long[:maxRecord] +
			"2023-11-14T22:13:21.000000000Z " + details + "z\n" +
			"2023-11-14T22:13:22.000000000Z " + details + "no end"
		o := both
		o.Timestamps, o.Details = true, true
		if got := readRaw(t, l, o); got != want {
			t.Errorf("%s: got %q\nwant %q", driver, got, want)
		}
		var b bytes.Buffer
		must(t, l.Read(t.Context(), o, &b))
		if frames := bytes.Count(b.Bytes(), []byte{1, 0, 0, 0}); frames != 3 {
			t.Errorf("%s: %d frames of stdout: each record has its own", driver, frames)
		}
	}
}

// TestForeignFile reads what Docker wrote.
func TestForeignFile(t *testing.T) {
	c := config(t, JSONFile)
	text := `{"log":"one\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}
{"log":"\u003ctwo\u003e\n","stream":"stderr","attrs":{"a":"b"},"time":"2024-01-02T03:04:06+01:00"}
garbage
{"log":"\ud83d\ude00\n","stream":"stdout","time":"2024-01-02T03:04:07Z"}
{"log":"torn`
	must(t, os.WriteFile(c.Dir+"/"+zeroID+"-json.log", []byte(text), 0o600))
	l := open(t, c)
	defer func() { _ = l.Close() }()
	if got := readRaw(t, l, both); got != "one\n<two>\n😀\n" {
		t.Errorf("read %q", got)
	}
	must(t, l.StartRun(1))
	must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte("ours\n")}}))
	if got := readRaw(t, l, ReadOptions{Stdout: true, Stderr: true, Tail: 2}); got != "😀\nours\n" {
		t.Errorf("tail %q", got)
	}
}

func TestRotationKeepsLimits(t *testing.T) {
	for name, k := range map[string][]string{
		"one file":   {JSONFile, "max-size", "5k"},
		"three":      {JSONFile, "max-size", "5k", "max-file", "3"},
		"compressed": {Local, "max-size", "5k", "max-file", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, k[0], k[1:]...)
			l := open(t, c)
			must(t, l.StartRun(9))
			feed(t, l, 0, 1001)
			l.compressing.Wait()
			all := lines(0, 1001, 1, 2)
			got := readRaw(t, l, both)
			if !strings.HasSuffix(all, got) || len(got) == 0 || len(got) > 30_000 {
				t.Errorf("%d bytes are left, no tail of what was written", len(got))
			}
			entries, err := os.ReadDir(c.Dir)
			must(t, err)
			if k[0] == Local {
				entries, err = os.ReadDir(c.Dir + "/local-logs")
				must(t, err)
			}
			if want := l.set.maxFile; len(entries) != want {
				t.Errorf("%d files, want %d: %v", len(entries), want, entries)
			}
			run, stdout, stderr := l.Offsets()
			must(t, l.Abandon())
			l = open(t, c)
			if r, o, e := l.Offsets(); r != run || o != stdout || e != stderr || r != 9 || o+e != uint64(len(all)) {
				t.Errorf("offsets %d %d %d after opening again, were %d %d %d", r, o, e, run, stdout, stderr)
			}
			must(t, l.Remove())
			if entries, err := os.ReadDir(c.Dir); err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "local-logs" {
				t.Errorf("left after Remove: %v %v", entries, err)
			}
		})
	}
}

// TestFollowAcrossRotation has a follower and an attached client whose connections are slower than the writer, while
// files rotate under them.
func TestFollowAcrossRotation(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			l := open(t, config(t, k[0], k[1:]...))
			if l.set.maxSize > 0 {
				l.set.maxSize, l.set.maxFile = 150_000, 3
			}
			must(t, l.StartRun(1))
			rng := rand.New(rand.NewPCG(3, 3))
			a := &agent{t: t, rng: rng, cut: -1}
			a.out[1], a.out[2] = text(rng, 3<<20), text(rng, 3<<19)
			var wg sync.WaitGroup
			follow, attached, late := &slowWriter{}, &slowWriter{}, &slowWriter{}
			o := both
			o.Follow = true
			wg.Go(func() { must(t, l.Read(t.Context(), o, follow)) })
			sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true})
			must(t, err)
			wg.Go(func() { must(t, sub.Copy(t.Context(), attached)) })
			quick, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true})
			must(t, err)
			var whole bytes.Buffer
			wg.Go(func() { must(t, quick.Copy(t.Context(), &whole)) })
			waitReaders(l, 3)
			must(t, a.run(t.Context(), l))
			logged, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true, Logs: true})
			must(t, err)
			wg.Go(func() { must(t, logged.Copy(t.Context(), late)) })
			must(t, l.EndRun())
			wg.Wait()
			equal(t, "attached", demux(t, whole.Bytes()), a.out)
			equal(t, "attached slowly", demux(t, attached.Bytes()), a.out)
			equal(t, "followed", demux(t, follow.Bytes()), a.out)
			if l.set.maxSize < 0 {
				equal(t, "attached late", demux(t, late.Bytes()), a.out)
			}
			l.mu.Lock()
			if len(l.readers) != 0 || len(l.subs) != 0 || len(l.kept) != 0 || l.run.ring != nil {
				t.Errorf("left: %d readers, %d subscribers, %d files", len(l.readers), len(l.subs), len(l.kept))
			}
			l.mu.Unlock()
			must(t, l.Close())
		})
	}
}

// slowWriter gives the processor away before each write.
type slowWriter struct{ bytes.Buffer }

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond) // a slow client, not a synchronisation.
	return w.Buffer.Write(p)
}

func TestStalledClientDelaysNobody(t *testing.T) {
	l := open(t, config(t, JSONFile, "max-size", "1m", "max-file", "2"))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	gate := &gatedWriter{open: make(chan struct{})}
	sub, err := l.Subscribe(SubscribeOptions{Stdout: true})
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { must(t, sub.Copy(t.Context(), gate)) })
	var want []byte
	for i := range 200 {
		data := bytes.Repeat(fmt.Appendf(nil, "%d\n", i), 10_000)
		must(t, l.Append(t.Context(), []Chunk{{1, uint64(len(want)), start, data}}))
		want = append(want, data...)
	}
	close(gate.open)
	must(t, l.EndRun())
	wg.Wait()
	if got := demux(t, gate.Bytes())[1]; !bytes.Equal(got, want) {
		t.Errorf("the client that had stalled got %d of %d bytes", len(got), len(want))
	}
}

type gatedWriter struct {
	bytes.Buffer
	open chan struct{}
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	<-w.open
	return w.Buffer.Write(p)
}

// TestNonePressesBack: without a log the slowest attached client holds the pump, until it leaves.
func TestNonePressesBack(t *testing.T) {
	l := open(t, config(t, None))
	defer func() { _ = l.Close() }()
	must(t, l.StartRun(1))
	if err := l.Read(t.Context(), both, nil); !errors.Is(err, ErrReadNotSupported) {
		t.Errorf("read: %v", err)
	}
	data := make([]byte, 100_000)
	var off uint64
	push := func(ctx context.Context) error {
		err := l.Append(ctx, []Chunk{{1, off, start, data}})
		off += uint64(len(data))
		return err
	}
	for range 100 {
		must(t, push(t.Context()))
	}
	gate := &gatedWriter{open: make(chan struct{})}
	slow, err := l.Subscribe(SubscribeOptions{Stdout: true})
	must(t, err)
	quick, err := l.Subscribe(SubscribeOptions{Stdout: true})
	must(t, err)
	var fast bytes.Buffer
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := slow.Copy(ctx, gate); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	wg.Go(func() { must(t, quick.Copy(t.Context(), &fast)) })
	var pumped sync.WaitGroup
	first := off
	pumped.Go(func() {
		for range 100 {
			must(t, push(t.Context()))
		}
	})
	done := make(chan struct{})
	go func() { pumped.Wait(); close(done) }()
	select {
	case <-done:
		t.Error("10 MB went through a client that reads nothing")
	case <-time.After(50 * time.Millisecond):
	}
	cancel(nil)
	close(gate.open)
	<-done
	must(t, l.EndRun())
	wg.Wait()
	if got := uint64(len(demux(t, fast.Bytes())[1])); got != off-first {
		t.Errorf("the other client got %d of %d bytes", got, off-first)
	}
}

// TestPromptIsSeen: what has no newline yet reaches attached clients at once, also those that ask for the log first.
func TestPromptIsSeen(t *testing.T) {
	l := open(t, config(t, JSONFile))
	defer func() { _ = l.Close() }()
	pre, err := l.Subscribe(SubscribeOptions{Stdout: true, Raw: true})
	must(t, err)
	must(t, l.StartRun(1))
	must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte("first\nname? ")}}))
	late, err := l.Subscribe(SubscribeOptions{Stdout: true, Raw: true, Logs: true})
	must(t, err)
	var wg sync.WaitGroup
	for _, s := range []*Subscription{pre, late} {
		w := make(chanWriter)
		wg.Go(func() { must(t, s.Copy(t.Context(), w)); close(w) })
		var got string
		for got != "first\nname? " {
			got += <-w
			if !strings.HasPrefix("first\nname? ", got) {
				t.Fatalf("got %q", got)
			}
		}
		wg.Go(func() {
			rest := ""
			for s := range w {
				rest += s
			}
			if rest != "arca\n" {
				t.Errorf("then %q", rest)
			}
		})
	}
	if run, stdout, _ := l.Offsets(); run != 1 || stdout != 6 {
		t.Errorf("offset %d: a line that is not written must not be acknowledged", stdout)
	}
	must(t, l.Append(t.Context(), []Chunk{{1, 12, start, []byte("arca\n")}}))
	must(t, l.EndRun())
	wg.Wait()
}

type chanWriter chan string

func (w chanWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// TestAbortedFollows: a thousand clients that leave in the middle leave nothing.
func TestAbortedFollows(t *testing.T) {
	l := open(t, config(t, JSONFile, "max-size", "10k", "max-file", "3", "compress", "true"))
	must(t, l.StartRun(1))
	feed(t, l, 0, 200)
	before := descriptors(t)
	o := both
	o.Follow = true
	var wg sync.WaitGroup
	for i := range 1000 {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := leaver{ctx, make(chan struct{}, 1)}
		wg.Go(func() {
			if err := l.Read(ctx, o, w); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrWrite) {
				t.Error(err)
			}
		})
		sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true, Logs: i%2 == 0})
		must(t, err)
		wg.Go(func() {
			if err := sub.Copy(ctx, &bytes.Buffer{}); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		<-w.first
		if i%50 == 0 {
			feed(t, l, 200+i, 250+i)
		}
		if i%3 == 0 {
			sub.Close()
		}
		cancel(nil)
	}
	wg.Wait()
	l.compressing.Wait()
	if now := descriptors(t); now > before+1 {
		t.Errorf("%d descriptors, were %d", now, before)
	}
	must(t, l.Close())
}

// leaver takes one piece and no more until its client has left.
type leaver struct {
	ctx   context.Context
	first chan struct{}
}

func (w leaver) Write(p []byte) (int, error) {
	select {
	case w.first <- struct{}{}:
		return len(p), nil
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	must(t, err)
	return len(entries)
}

// TestRunsAreToldApart: a new run begins at offset 0, also when the first one's end and its own beginning are torn.
func TestRunsAreToldApart(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		c := config(t, driver)
		l := open(t, c)
		must(t, l.StartRun(1))
		must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte("one\ntail")}}))
		must(t, l.EndRun())
		if r, o, _ := l.Offsets(); r != 1 || o != 8 {
			t.Errorf("after run 1: %d %d", r, o)
		}
		must(t, l.StartRun(2))
		if r, o, e := l.Offsets(); r != 2 || o != 0 || e != 0 {
			t.Errorf("at run 2: %d %d %d", r, o, e)
		}
		must(t, l.Append(t.Context(), []Chunk{{1, 0, start, []byte("two\n")}, {1, 4, start, []byte("three\n")}, {2, 0, start, []byte("err\n")}}))
		must(t, l.Abandon())
		st, err := os.Stat(l.path)
		must(t, err)
		must(t, os.Truncate(l.path, st.Size()-1))
		l = open(t, c)
		if r, o, e := l.Offsets(); r != 2 || o != 10 || e != 0 {
			t.Errorf("%s: after a torn write: %d %d %d", driver, r, o, e)
		}
		must(t, l.StartRun(2))
		must(t, l.Append(t.Context(), []Chunk{{2, 0, start, []byte("err\n")}}))
		if got := readRaw(t, l, both); got != "one\ntailtwo\nthree\nerr\n" {
			t.Errorf("%s: %q", driver, got)
		}
		if err := l.Append(t.Context(), []Chunk{{1, 11, start, []byte("gap")}}); err == nil {
			t.Error("a gap was taken")
		}
		must(t, l.Close())
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
