package logs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zeroID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func open(t *testing.T, c Config) *Log {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func config(t *testing.T, driver string, opts ...string) Config {
	c := Config{Driver: driver, Dir: t.TempDir(), ContainerID: zeroID, Options: map[string]string{}}
	for i := 0; i < len(opts); i += 2 {
		c.Options[opts[i]] = opts[i+1]
	}
	return c
}

var update = flag.Bool("update", false, "write golden files")

var both = ReadOptions{Stdout: true, Stderr: true, Tail: -1}

func readAll(t *testing.T, l *Log, o ReadOptions) (out [3][]byte) {
	t.Helper()
	var b bytes.Buffer
	if err := l.Read(t.Context(), o, &b); err != nil {
		t.Fatal(err)
	}
	return demux(t, b.Bytes())
}

func equal(t *testing.T, what string, got, want [3][]byte) {
	t.Helper()
	for s := 1; s <= 2; s++ {
		if !bytes.Equal(got[s], want[s]) {
			i := 0
			for i < min(len(got[s]), len(want[s])) && got[s][i] == want[s][i] {
				i++
			}
			t.Fatalf("%s: stream %d: %d bytes for %d, first difference at %d", what, s, len(got[s]), len(want[s]), i)
		}
	}
}

// TestEveryByteOnce kills the writer at random points: the connection, the process, and the file's tail.
func TestEveryByteOnce(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		for seed := range uint64(12) {
			t.Run(fmt.Sprint(driver, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				c := config(t, driver)
				c.Options["max-size"], c.Options["max-file"] = "200m", "3"
				a := &agent{t: t, rng: rng, dup: true}
				a.out[1], a.out[2] = text(rng, 1+rng.IntN(2<<20)), text(rng, 1+rng.IntN(1<<20))
				if seed == 0 {
					a.out[2] = nil
				}
				var follow bytes.Buffer
				for round := 0; ; round++ {
					l := open(t, c)
					if err := l.StartRun(7); err != nil {
						t.Fatal(err)
					}
					var wg sync.WaitGroup
					follow.Reset()
					attached := &bytes.Buffer{}
					sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true, Logs: true})
					if err != nil {
						t.Fatal(err)
					}
					wg.Go(func() {
						if err := sub.Copy(t.Context(), attached); err != nil {
							t.Error(err)
						}
					})
					o := both
					o.Follow = true
					wg.Go(func() {
						if err := l.Read(t.Context(), o, &follow); err != nil {
							t.Error(err)
						}
					})
					waitReaders(l, 2)
					a.cut = rng.IntN(60)
					if round > 20 {
						a.cut = -1
					}
					if err = a.run(context.Background(), l); err == nil {
						if err := l.Close(); err != nil {
							t.Fatal(err)
						}
						wg.Wait()
						equal(t, "followed", demux(t, follow.Bytes()), a.out)
						equal(t, "attached", demux(t, attached.Bytes()), a.out)
						break
					}
					path := l.path
					if err := l.Abandon(); err != nil {
						t.Fatal(err)
					}
					wg.Wait()
					tear(t, rng, path, a.acked)
				}
				l := open(t, c)
				defer func() { _ = l.Close() }()
				equal(t, "read", readAll(t, l, both), a.out)
			})
		}
	}
}

// tear appends a piece of a record, as a killed write(2) does.
func tear(t *testing.T, rng *rand.Rand, path string, _ [3]uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var junk []byte
	if bytes.HasSuffix([]byte(path), []byte("json.log")) {
		junk = newJSONCodec(nil).encode(nil, 1, 1_700_000_000_000_000_000, []byte("torn\n"))
	} else {
		junk = (&binaryCodec{}).encode(nil, 1, 1_700_000_000_000_000_000, []byte("torn\n"))
	}
	if _, err := f.Write(junk[:rng.IntN(len(junk))]); err != nil {
		t.Fatal(err)
	}
}

// waitReaders waits until n readers have begun.
func waitReaders(l *Log, n int) {
	for {
		l.mu.Lock()
		have := len(l.readers)
		for s := range l.subs {
			if s.reader == nil {
				have++
			}
		}
		l.mu.Unlock()
		if have >= n {
			return
		}
		runtime.Gosched()
	}
}
