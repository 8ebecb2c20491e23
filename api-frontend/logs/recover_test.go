package logs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/arca-engine/arca/internal/guestwire"
)

// chunksOf cuts a stream pair into chunks in a random order.
func chunksOf(rng *rand.Rand, out [3][]byte, off *[3]uint64, n int) (chunks []Chunk) {
	for range n {
		s := 1 + rng.IntN(2)
		left := uint64(len(out[s])) - off[s]
		k := min(left, uint64(rng.IntN(400)))
		chunks = append(chunks, Chunk{Stream: guestwire.Stream(s), Offset: off[s], UnixNano: start, Data: out[s][off[s] : off[s]+k]})
		off[s] += k
	}
	return chunks
}

// TestEveryKillPoint kills the last write(2) after each of its bytes.
func TestEveryKillPoint(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		t.Run(driver, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 5))
			c := config(t, driver, "max-size", "100m")
			if driver == JSONFile {
				delete(c.Options, "max-size")
			}
			var out, sent [3][]byte
			out[1], out[2] = text(rng, 20_000), text(rng, 20_000)
			for i := range out {
				out[i] = bytes.ReplaceAll(out[i], []byte("xxxxxxxxxxxxxxxx"), []byte("x\n"))
			}
			var off [3]uint64
			l := open(t, c)
			must(t, l.StartRun(4))
			for range 6 {
				must(t, l.Append(t.Context(), chunksOf(rng, out, &off, 8)))
			}
			before := l.cur.size
			_, o1, e1 := l.Offsets()
			must(t, l.Append(t.Context(), chunksOf(rng, out, &off, 8)))
			_, o2, e2 := l.Offsets()
			must(t, l.Abandon())
			whole, err := os.ReadFile(l.path)
			must(t, err)
			last := o1 + e1
			for cut := before; cut <= int64(len(whole)); cut++ {
				must(t, os.WriteFile(l.path, whole[:cut], 0o600))
				l := open(t, c)
				run, o, e := l.Offsets()
				if run != 4 || o < o1 || e < e1 || o > o2 || e > e2 || o+e < last {
					t.Fatalf("cut at %d: run %d, offsets %d %d not in %d-%d %d-%d", cut, run, o, e, o1, o2, e1, e2)
				}
				last = o + e
				got := readAll(t, l, both)
				sent[1], sent[2] = out[1][:o], out[2][:e]
				equal(t, fmt.Sprintf("cut at %d", cut), got, sent)
				must(t, l.StartRun(4))
				must(t, l.Append(t.Context(), []Chunk{{1, o, start, out[1][o:off[1]]}, {2, e, start, out[2][e:off[2]]}}))
				must(t, l.EndRun())
				equal(t, "resumed", readAll(t, l, both), [3][]byte{1: out[1][:off[1]], 2: out[2][:off[2]]})
				must(t, l.Close())
			}
			if last != o2+e2 {
				t.Errorf("whole file: %d of %d bytes", last, o2+e2)
			}
		})
	}
}

// TestMachineCrash: the tail of the file is zeroes, and then junk.
func TestMachineCrash(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		for _, junk := range [][]byte{make([]byte, 5000), bytes.Repeat([]byte("\xff\n"), 3000), []byte("\n\n{}\n")} {
			c := config(t, driver)
			l := open(t, c)
			must(t, l.StartRun(1))
			feed(t, l, 0, 50)
			run, o, e := l.Offsets()
			must(t, l.Abandon())
			f, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(junk)
			must(t, err)
			must(t, f.Close())
			l = open(t, c)
			if r2, o2, e2 := l.Offsets(); r2 != run || o2 != o || e2 != e {
				t.Errorf("%s: offsets %d %d %d, want %d %d %d", driver, r2, o2, e2, run, o, e)
			}
			must(t, l.StartRun(1))
			feed(t, l, 50, 60)
			if got := readRaw(t, l, both); got != lines(0, 60, 1, 2) {
				t.Errorf("%s: read %d bytes", driver, len(got))
			}
			must(t, l.Close())
		}
	}
}

// TestKilledRotation stops between the steps of a rotation: after the old names moved on, and before.
func TestKilledRotation(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			c := config(t, k[0], k[1:]...)
			l := open(t, c)
			must(t, l.StartRun(3))
			feed(t, l, 0, 1000)
			l.compressing.Wait()
			run, o, e := l.Offsets()
			must(t, l.Abandon())
			must(t, os.WriteFile(l.path+tempSuffix, []byte("half a rec"), 0o600))
			must(t, os.WriteFile(l.path+gzipSuffix+tempSuffix, []byte("half"), 0o600))
			if l.set.maxFile > 1 && l.set.maxSize > 0 {
				must(t, l.findAges())
				for age := l.ages; age >= 0; age-- {
					_ = os.Rename(l.name(age), l.name(age+1))
					_ = os.Rename(l.name(age)+gzipSuffix, l.name(age+1)+gzipSuffix)
				}
			}
			l = open(t, c)
			if r2, o2, e2 := l.Offsets(); r2 != run || o2 != o || e2 != e {
				t.Errorf("offsets %d %d %d, want %d %d %d", r2, o2, e2, run, o, e)
			}
			must(t, l.StartRun(3))
			feed(t, l, 1000, 1100)
			if got := readRaw(t, l, both); got != lines(0, 1100, 1, 2) {
				t.Errorf("read %d bytes of %d", len(got), len(lines(0, 1100, 1, 2)))
			}
			must(t, l.Close())
			if exists(l.path+tempSuffix) || exists(l.path+gzipSuffix+tempSuffix) {
				t.Error("unfinished files are left")
			}
		})
	}
}

// TestFailedWrite: after an error the log stands where its file does, and takes the same bytes again.
func TestFailedWrite(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			l := open(t, config(t, k[0], k[1:]...))
			must(t, l.StartRun(1))
			var b bytes.Buffer
			sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true, Raw: true})
			must(t, err)
			done := make(chan error, 1)
			go func() { done <- sub.Copy(t.Context(), &b) }()
			feed(t, l, 0, 300)
			must(t, l.Append(t.Context(), []Chunk{{1, l.written.stdout, start, []byte("prom")}}))
			good := l.cur.f
			bad, err := os.Open(l.path)
			must(t, err)
			l.cur.f = bad
			off := l.written
			if err := l.Append(t.Context(), []Chunk{{1, off.stdout + 4, start, []byte("pt\nmore\n")}}); err == nil {
				t.Fatal("no error")
			}
			l.cur.f = good
			must(t, bad.Close())
			if _, o, e := l.Offsets(); o != off.stdout || e != off.stderr {
				t.Errorf("offsets moved: %d %d", o, e)
			}
			must(t, l.Append(t.Context(), []Chunk{{1, off.stdout, start, []byte("prompt\nmore\nend")}}))
			must(t, l.EndRun())
			must(t, <-done)
			want := lines(0, 300, 1, 2) + "prompt\nmore\nend"
			if got := readRaw(t, l, both); got != want {
				t.Errorf("read %q", got[max(0, len(got)-40):])
			}
			if b.String() != want {
				t.Errorf("attached %q", b.String()[max(0, b.Len()-40):])
			}
			must(t, l.Close())
		})
	}
}

// TestCutByHand: somebody empties the file to free space while it is followed.
func TestCutByHand(t *testing.T) {
	for _, driver := range []string{JSONFile, Local} {
		c := config(t, driver)
		l := open(t, c)
		must(t, l.StartRun(1))
		feed(t, l, 0, 100)
		o := both
		o.Follow, o.Raw = true, true
		w := make(chanWriter, 1000)
		done := make(chan error, 1)
		go func() { done <- l.Read(t.Context(), o, w) }()
		waitReaders(l, 1)
		feed(t, l, 100, 101)
		got := ""
		for got != lines(0, 101, 1, 2) {
			got += <-w
		}
		must(t, os.Truncate(l.path, 0))
		feed(t, l, 101, 300)
		must(t, l.EndRun())
		must(t, <-done)
		close(w)
		for s := range w {
			got += s
		}
		if got != lines(0, 300, 1, 2) {
			t.Errorf("%s: followed %d bytes: %.80q", driver, len(got), got)
		}
		if got := readRaw(t, l, both); got != lines(101, 300, 1, 2) {
			t.Errorf("%s: read %d bytes: %.80q", driver, len(got), got)
		}
		run, stdout, stderr := l.Offsets()
		must(t, l.Abandon())
		l = open(t, c)
		if r, o, e := l.Offsets(); r != run || o != stdout || e != stderr {
			t.Errorf("%s: offsets %d %d %d, want %d %d %d", driver, r, o, e, run, stdout, stderr)
		}
		must(t, l.Close())
	}
}
