package logs

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"

	"github.com/arca-engine/arca/internal/guestwire"
)

// agent is the other end of a Pump: a process's output that is sent from any offsets, in random pieces, with cuts,
// duplicates and slow reading of acknowledgements.
type agent struct {
	t     *testing.T
	rng   *rand.Rand
	out   [3][]byte
	cut   int // frames until the connection breaks; negative: never.
	dup   bool
	acked [3]uint64
}

// serve sends everything from the offsets on over one connection.
func (a *agent) serve(conn net.Conn, from [3]uint64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = conn.Close() }()
	wg.Add(1)
	go func() {
		defer wg.Done()
		var b [guestwire.AckSize]byte
		for {
			if _, err := io.ReadFull(conn, b[:]); err != nil {
				return
			}
			s, off, err := guestwire.ParseAck(b[:])
			if err != nil {
				a.t.Error(err)
				return
			}
			if off < a.acked[s] || off > uint64(len(a.out[s])) {
				a.t.Errorf("stream %d acknowledged at %d after %d of %d", s, off, a.acked[s], len(a.out[s]))
			}
			a.acked[s] = off
		}
	}()
	nano := int64(1_700_000_000_123_456_789)
	for frames := 0; from[1] < uint64(len(a.out[1])) || from[2] < uint64(len(a.out[2])); frames++ {
		s := guestwire.Stream(1 + a.rng.IntN(2))
		left := uint64(len(a.out[s])) - from[s]
		if left == 0 {
			continue
		}
		n := min(left, uint64(1+a.rng.IntN(1+a.rng.IntN(40_000))))
		start := from[s]
		if a.dup && a.rng.IntN(4) == 0 {
			start -= min(start, uint64(a.rng.IntN(3000)))
		}
		b := make([]byte, guestwire.HeaderSize, guestwire.HeaderSize+n)
		data := a.out[s][start : from[s]+n]
		nano += int64(a.rng.IntN(1000))
		guestwire.Header{Stream: s, Length: len(data), Offset: start, UnixNano: nano}.Put(b)
		b = append(b, data...)
		if frames == a.cut {
			b = b[:a.rng.IntN(len(b))]
		}
		if _, err := conn.Write(b); err != nil || frames == a.cut {
			return
		}
		from[s] += n
	}
	var end [guestwire.HeaderSize]byte
	guestwire.Header{Stream: guestwire.End}.Put(end[:])
	if _, err := conn.Write(end[:]); err != nil {
		return
	}
	wg.Wait()
}

// run pumps the agent's output into l over one connection.
func (a *agent) run(ctx context.Context, l *Log) error {
	host, guest := net.Pipe()
	if a.rng.IntN(2) == 0 {
		host, guest = socketPair(a.t)
	}
	_, stdout, stderr := l.Offsets()
	var wg sync.WaitGroup
	wg.Go(func() { a.serve(guest, [3]uint64{1: stdout, 2: stderr}) })
	err := Pump(ctx, host, l)
	wg.Wait()
	return err
}

// text makes output of all kinds: lines, long lines, binary, nothing but newlines.
func text(rng *rand.Rand, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		switch rng.IntN(6) {
		case 0:
			b = append(b, '\n')
		case 1:
			for range rng.IntN(300) {
				b = append(b, byte(rng.IntN(256)))
			}
		case 2:
			for range rng.IntN(60_000) {
				b = append(b, 'x')
			}
		case 3:
			b = append(b, "héllo <\"wörld\"> & \u2028 \\ \t\r\x01 ☃"...)
		default:
			for range 3 {
				b = append(b, "the quick brown fox jumps over the lazy dog, 62 bytes a line.\n"...)
			}
		}
	}
	return b[:n]
}

// demux splits frames into the two streams.
func demux(t *testing.T, b []byte) (out [3][]byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 || b[0] != byte(stdcopy.Stdout) && b[0] != byte(stdcopy.Stderr) || b[1]|b[2]|b[3] != 0 {
			t.Fatalf("bad frame %x", b[:min(len(b), 8)])
		}
		n := int(binary.BigEndian.Uint32(b[4:]))
		if n == 0 || 8+n > len(b) {
			t.Fatalf("frame of %d bytes, %d left", n, len(b))
		}
		out[b[0]] = append(out[b[0]], b[8:8+n]...)
		b = b[8+n:]
	}
	return out
}
