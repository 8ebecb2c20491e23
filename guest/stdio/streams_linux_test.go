package stdio

import (
	"bytes"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/internal/guestwire"
)

// run starts a shell with streams and returns them and the function that waits for its exit.
func run(t *testing.T, o Options, script string) (*Streams, *exec.Cmd) {
	t.Helper()
	o.Dir = t.TempDir()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", script)
	s.Set(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Started(); err != nil {
		t.Fatal(err)
	}
	return s, cmd
}

// all reads the output of a spool to its end.
func all(t *testing.T, s *Spool) (stdout []byte) {
	t.Helper()
	agent, conn := pair(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), agent, 0, 0) }()
	_ = conn.SetDeadline(time.Now().Add(limit))
	for {
		var b [guestwire.HeaderSize]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatal(err)
		}
		h, err := guestwire.ParseHeader(b[:])
		if err != nil {
			t.Fatal(err)
		}
		if h.Stream == guestwire.End {
			break
		}
		data := make([]byte, h.Length)
		if _, err := io.ReadFull(conn, data); err != nil {
			t.Fatal(err)
		}
		if h.Stream == guestwire.Stdout {
			stdout = append(stdout, data...)
		}
		guestwire.PutAck(b[:], h.Stream, h.Offset+uint64(h.Length))
		if _, err := conn.Write(b[:guestwire.AckSize]); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return stdout
}

// A descendant that keeps the pipes delays the end by the grace and no more.
func TestDescendantKeepsTheOutputOpen(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, cmd := run(t, Options{}, "(sleep 30 >&2 & echo $! >&2; exec sleep 30) & echo $!; echo early")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.Exited()
	if d := time.Since(begun); d < Grace || d > Grace+5*time.Second {
		t.Errorf("it took %v", d)
	}
	out := all(t, s.Spool)
	pid, rest, _ := bytes.Cut(out, []byte("\n"))
	if string(rest) != "early\n" {
		t.Errorf("output %q", out)
	}
	_ = exec.Command("/bin/kill", string(pid)).Run()
	if err := s.Spool.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a process has written before its exit comes, though nobody reads before the grace is over.
func TestNothingIsLostAfterTheGrace(t *testing.T) {
	defer goleak.VerifyNone(t)
	const total = MemorySize + FileSize + pipeSize
	s, cmd := run(t, Options{}, "sleep 20 & head -c "+itoa(total-4)+" /dev/zero; echo end")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(s.Exited)
	time.Sleep(Grace + 200*time.Millisecond)
	out := all(t, s.Spool)
	wg.Wait()
	if len(out) != total || !bytes.HasSuffix(out, []byte("\x00end\n")) {
		t.Errorf("%d of %d bytes", len(out), total)
	}
	if err := s.Spool.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDiscardedOutput(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, cmd := run(t, Options{Discard: true}, "head -c 100000000 /dev/zero; echo >&2")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s.Exited()
	if out := all(t, s.Spool); len(out) != 0 || s.Spool.mem != nil {
		t.Errorf("%d bytes were kept", len(out))
	}
	if err := s.Spool.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStdinEndsOrBreaks(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, cmd := run(t, Options{Stdin: true}, "cat; echo end")
	feed := func(text string, cut bool) {
		t.Helper()
		if err := s.Feed(bytes.NewBufferString(text), func() bool { return cut }); err != nil {
			t.Fatal(err)
		}
	}
	feed("one\n", true)
	feed("two\n", true)
	feed("three\n", false)
	if err := s.Feed(bytes.NewBufferString("late"), func() bool { return false }); err == nil {
		t.Error("a closed stdin takes bytes")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s.Exited()
	if out := all(t, s.Spool); string(out) != "one\ntwo\nthree\nend\n" {
		t.Errorf("output %q", out)
	}
	if err := s.Spool.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkSmallWrites measures a process that writes little at a time.
func BenchmarkSmallWrites(b *testing.B) {
	for _, size := range []int{2, 64, 4096} {
		b.Run(itoa(size), func(b *testing.B) {
			s := NewSpool(b.TempDir())
			r, w, err := pipe()
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			agent, conn := pair(b)
			var wg sync.WaitGroup
			wg.Go(func() { _ = s.Pump(r, guestwire.Stdout, false); s.End() })
			wg.Go(func() { _ = s.Serve(b.Context(), agent, 0, 0) })
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				h := make([]byte, guestwire.HeaderSize+guestwire.MaxData)
				for {
					if _, err := io.ReadFull(conn, h[:guestwire.HeaderSize]); err != nil {
						return
					}
					f, err := guestwire.ParseHeader(h)
					if err != nil || f.Stream == guestwire.End {
						return
					}
					if _, err := io.ReadFull(conn, h[guestwire.HeaderSize:][:f.Length]); err != nil {
						return
					}
					guestwire.PutAck(h, f.Stream, f.Offset+uint64(f.Length))
					_, _ = conn.Write(h[:guestwire.AckSize])
				}
			})
			b.SetBytes(int64(size))
			data := make([]byte, size)
			for b.Loop() {
				if _, err := w.Write(data); err != nil {
					b.Fatal(err)
				}
			}
			_ = w.Close()
			wg.Wait()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
