package attach

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"

	"github.com/arca-engine/arca/internal/guestwire"
)

func TestParseKeys(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []byte
		fail bool
	}{
		{in: "", want: []byte{}},
		{in: "ctrl-p,ctrl-q", want: []byte{16, 17}},
		{in: "ctrl-@,ctrl-a,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", want: []byte{0, 1, 26, 27, 28, 29, 30, 31}},
		{in: "a,b,DEL", want: []byte{'a', 'b', 127}},
		{in: "ctrl-A", fail: true},
		{in: "ctrl-", fail: true},
		{in: "ctrl-pp", fail: true},
		{in: "ab", fail: true},
		{in: ",", fail: true},
		{in: strings.Repeat("a,", 64) + "a", fail: true},
	} {
		got, err := ParseKeys(c.in)
		if c.fail {
			if !errdefs.IsInvalidArgument(err) || err.Error() != "Invalid escape keys ("+c.in+") provided" {
				t.Errorf("%q: %v", c.in, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, c.want) || got == nil {
			t.Errorf("%q: %v, %v", c.in, got, err)
		}
	}
}

func TestEscape(t *testing.T) {
	const p, q = "\x10", "\x11"
	for _, c := range []struct {
		name, keys string
		in         []string
		want       string
		detached   bool
	}{
		{name: "plain", in: []string{"hello"}, want: "hello"},
		{name: "whole", in: []string{"a" + p + q + "b"}, want: "a", detached: true},
		{name: "split", in: []string{"a" + p, q + "b"}, want: "a", detached: true},
		{name: "partial then other", in: []string{p, "x"}, want: p + "x"},
		{name: "partial at the end", in: []string{"x" + p}, want: "x" + p},
		{name: "a broken sequence begins none", in: []string{p + p + q}, want: p + p + q},
		{name: "second try", in: []string{p, "x", p, q}, want: p + "x", detached: true},
		{name: "single key", keys: "a", in: []string{"xa"}, want: "x", detached: true},
		{name: "long keys byte by byte", keys: "abc", in: []string{"a", "b", "a", "b", "c", "a", "b", "c"}, want: "ababc", detached: true},
		{name: "long keys broken", keys: "abc", in: []string{"ab", "d"}, want: "abd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, w := io.Pipe()
			go func() {
				for _, s := range c.in {
					if _, err := io.WriteString(w, s); err != nil {
						return
					}
				}
				_ = w.Close()
			}()
			var out bytes.Buffer
			err := copyEscape(&out, in, []byte(c.keys), make([]byte, 16))
			_ = in.Close()
			if errors.Is(err, ErrDetached) != c.detached || (!c.detached && err != nil) || out.String() != c.want {
				t.Errorf("got %q, %v; want %q, detached %v", out.String(), err, c.want, c.detached)
			}
		})
	}
}

// FuzzEscape checks that the cuts between reads never matter and that nothing is lost but the sequence itself.
func FuzzEscape(f *testing.F) {
	f.Add([]byte{16, 17}, []byte("a\x10b\x10\x11c"), uint8(3))
	f.Add([]byte("abc"), []byte("ababc"), uint8(1))
	f.Fuzz(func(t *testing.T, keys, in []byte, cut uint8) {
		if len(keys) > maxKeys {
			return
		}
		whole := NewEscape(keys)
		want, wantErr := whole.Feed(nil, in)
		if wantErr == nil {
			want = whole.Flush(want)
			if !bytes.Equal(want, in) {
				t.Fatalf("lost bytes: %q from %q", want, in)
			}
		}
		parts := NewEscape(keys)
		var got []byte
		var err error
		for rest := in; len(rest) > 0 && err == nil; {
			n := min(len(rest), 1+int(cut))
			got, err = parts.Feed(got, rest[:n])
			rest = rest[n:]
		}
		if err == nil {
			got = parts.Flush(got)
		}
		if !bytes.Equal(got, want) || !errors.Is(err, wantErr) {
			t.Fatalf("in parts %q, %v; whole %q, %v", got, err, want, wantErr)
		}
	})
}

// FuzzParseKeys checks that whatever is accepted is bounded.
func FuzzParseKeys(f *testing.F) {
	f.Add("ctrl-p,ctrl-q")
	f.Add("a,DEL,,")
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseKeys(s)
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Fatal(err)
		}
		if len(keys) > maxKeys {
			t.Fatal("too many keys")
		}
	})
}

type frame struct {
	stream guestwire.Stream
	data   string
}

// agent writes frames and reads acknowledgements, as a guest agent does.
func agent(t *testing.T, conn net.Conn, at Offsets, fs []frame) <-chan Offsets {
	acked := make(chan Offsets, 1)
	go func() {
		var got Offsets
		for {
			var b [guestwire.AckSize]byte
			if _, err := io.ReadFull(conn, b[:]); err != nil {
				acked <- got
				return
			}
			s, n, err := guestwire.ParseAck(b[:])
			if err != nil {
				t.Error(err)
			}
			*got.of(s) = n
		}
	}()
	go func() {
		for _, f := range fs {
			b := make([]byte, guestwire.HeaderSize)
			h := guestwire.Header{Stream: f.stream, Length: len(f.data)}
			if f.stream != guestwire.End {
				h.Offset = *at.of(f.stream)
				*at.of(f.stream) += uint64(len(f.data))
			}
			h.Put(b)
			if _, err := conn.Write(append(b, f.data...)); err != nil {
				return
			}
		}
	}()
	return acked
}

func TestPump(t *testing.T) {
	defer goleak.VerifyNone(t)
	big := strings.Repeat("x", guestwire.MaxData)
	fs := []frame{{1, "out"}, {2, "err"}, {1, ""}, {1, big}, {2, big}, {1, "end"}, {guestwire.End, ""}}
	near, far := net.Pipe()
	from := Offsets{Stdout: 7, Stderr: 9}
	acked := agent(t, far, from, fs)
	var out bytes.Buffer
	w := &Writer{W: &out, Multiplex: true, Stdout: true, Stderr: true}
	have := from
	if err := Pump(near, &have, w.Frame); err != nil {
		t.Fatal(err)
	}
	_ = near.Close()
	if got := <-acked; got != have {
		t.Errorf("acknowledged %+v of %+v", got, have)
	}
	for _, f := range fs {
		if f.data == "" {
			continue
		}
		head := out.Next(8)
		if head[0] != byte(f.stream) || int(binary.BigEndian.Uint32(head[4:])) != len(f.data) {
			t.Fatalf("header % x for %d bytes of stream %d", head, len(f.data), f.stream)
		}
		if got := string(out.Next(len(f.data))); got != f.data {
			t.Fatalf("data of stream %d differs", f.stream)
		}
	}
}

func TestPumpFailures(t *testing.T) {
	defer goleak.VerifyNone(t)
	refused := errors.New("the client left")
	for _, c := range []struct {
		name string
		sent []byte
		sink Sink
		want error
	}{
		{name: "agent leaves", want: io.ErrUnexpectedEOF},
		{name: "agent leaves in a header", sent: make([]byte, 5), want: io.ErrUnexpectedEOF},
		{name: "agent leaves in a frame", sent: header(guestwire.Stdout, 100, 0), want: io.ErrUnexpectedEOF},
		{name: "bytes that a former frontend has taken", sent: header(guestwire.Stdout, 0, 5), want: io.ErrUnexpectedEOF},
		{name: "unknown stream", sent: header(9, 0, 0)},
		{name: "too large", sent: header(guestwire.Stdout, 1<<30, 0)},
		{name: "sink fails", sent: header(guestwire.Stdout, 0, 0), sink: func(guestwire.Stream, []byte) error { return refused }, want: refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := net.Pipe()
			go func() {
				_, _ = far.Write(c.sent)
				_ = far.Close()
			}()
			if c.sink == nil {
				c.sink = Discard
			}
			err := Pump(near, &Offsets{}, c.sink)
			if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			_ = near.Close()
		})
	}
}

func header(s guestwire.Stream, n int, at uint64) []byte {
	b := make([]byte, guestwire.HeaderSize)
	guestwire.Header{Stream: s, Length: n, Offset: at}.Put(b)
	return b
}

func TestWriterChoosesStreams(t *testing.T) {
	var out bytes.Buffer
	w := &Writer{W: &out, Stdout: true}
	for _, s := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
		if err := w.Frame(s, append(make([]byte, Headroom), "data"...)); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "data" {
		t.Errorf("got %q", out.String())
	}
	out.Reset()
	w = &Writer{W: &out, Multiplex: true}
	if err := w.Text("no"); err != nil || out.String() != "\x01\x00\x00\x00\x00\x00\x00\x02no" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

type closer struct {
	bytes.Buffer
	closed bool
	fail   error
}

func (c *closer) Write(p []byte) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	return c.Buffer.Write(p)
}
func (c *closer) CloseWrite() error { c.closed = true; return nil }

func TestCopyStdin(t *testing.T) {
	c := &closer{}
	if err := CopyStdin(c, strings.NewReader("in\x10\x11put"), false, nil); err != nil || c.String() != "in\x10\x11put" || !c.closed {
		t.Errorf("got %q, closed %v, %v", c.String(), c.closed, err)
	}
	c = &closer{}
	if err := CopyStdin(c, strings.NewReader("in"), true, nil); err != nil || c.String() != "in" || c.closed {
		t.Errorf("tty: got %q, closed %v, %v", c.String(), c.closed, err)
	}
	c = &closer{}
	if err := CopyStdin(c, strings.NewReader("in\x10\x11"), true, nil); !errors.Is(err, ErrDetached) || c.String() != "in" {
		t.Errorf("detach: got %q, %v", c.String(), err)
	}
	c = &closer{fail: net.ErrClosed}
	if err := CopyStdin(c, strings.NewReader("in"), false, nil); err != nil {
		t.Errorf("a process that reads no more: %v", err)
	}
}

func BenchmarkPump(b *testing.B) {
	data := make([]byte, 64<<10)
	sent := append(header(guestwire.Stdout, len(data), 0), data...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	src := &repeat{frame: sent, n: b.N}
	w := &Writer{W: io.Discard, Multiplex: true, Stdout: true}
	if err := Pump(src, &Offsets{}, w.Frame); !errors.Is(err, io.ErrUnexpectedEOF) {
		b.Fatal(err)
	}
}

// repeat sends the same frame n times with growing offsets.
type repeat struct {
	frame []byte
	n, at int
	pos   int
}

func (r *repeat) Write(p []byte) (int, error) { return len(p), nil }
func (r *repeat) Read(p []byte) (int, error) {
	if r.at == r.n {
		return 0, io.EOF
	}
	if r.pos == 0 {
		n := len(r.frame) - guestwire.HeaderSize
		guestwire.Header{Stream: guestwire.Stdout, Length: n, Offset: uint64(r.at) * uint64(n)}.Put(r.frame)
	}
	n := copy(p, r.frame[r.pos:])
	r.pos += n
	if r.pos == len(r.frame) {
		r.pos = 0
		r.at++
	}
	return n, nil
}

// The agent tells the end of input from a host that has died by the host's waiting for it.
func TestFeedWaitsForTheAgent(t *testing.T) {
	for _, c := range []struct {
		name       string
		tty, stays bool
		ends       bool // the agent sees a half-close.
	}{{"plain", false, false, true}, {"stays open", false, true, false}, {"terminal", true, false, false}} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/s", Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			conn, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
			if err != nil {
				t.Fatal(err)
			}
			agent, err := l.AcceptUnix()
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				err := Feed(conn, strings.NewReader("input"), c.tty, func() bool { return c.stays }, nil)
				done <- errors.Join(err, conn.Close())
			}()
			if b, err := io.ReadAll(agent); err != nil || string(b) != "input" {
				t.Fatalf("%q, %v", b, err)
			}
			_, werr := agent.Write([]byte("?")) // Fails when the host has closed it whole.
			if c.ends != (werr == nil) {
				t.Errorf("half-closed: %v", werr)
			}
			_ = agent.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
