package logs

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/arca-engine/arca/internal/guestwire"
)

const benchLine = "the quick brown fox jumps over the lazy dog, 62 bytes a line.\n"

func benchConfig(b *testing.B, driver string) Config {
	return Config{Driver: driver, Dir: b.TempDir(), ContainerID: zeroID, Options: map[string]string{}}
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is the writer alone: frames of 64 KiB of short lines into the file.
func BenchmarkAppend(b *testing.B) {
	for _, driver := range []string{JSONFile, Local} {
		b.Run(driver, func(b *testing.B) {
			c := benchConfig(b, driver)
			c.Options["max-size"] = "100m"
			l, err := Open(c)
			must(b, err)
			defer func() { _ = l.Close() }()
			must(b, l.StartRun(1))
			data := bytes.Repeat([]byte(benchLine), 1024)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var off uint64
			chunks := make([]Chunk, 1)
			for b.Loop() {
				chunks[0] = Chunk{guestwire.Stdout, off, int64(off) + 1_700_000_000_000_000_000, data}
				must(b, l.Append(context.Background(), chunks))
				off += uint64(len(data))
			}
		})
	}
}

// BenchmarkRead is `docker logs` of many short lines.
func BenchmarkRead(b *testing.B) {
	for _, driver := range []string{JSONFile, Local} {
		for name, o := range map[string]ReadOptions{"plain": both, "timestamps": {Stdout: true, Stderr: true, Tail: All, Timestamps: true}} {
			b.Run(driver+"/"+name, func(b *testing.B) {
				c := benchConfig(b, driver)
				c.Options["max-size"] = "1g"
				l, err := Open(c)
				must(b, err)
				defer func() { _ = l.Close() }()
				must(b, l.StartRun(1))
				data := bytes.Repeat([]byte(benchLine), 1024)
				const n = 1024
				for i := range uint64(n) {
					must(b, l.Append(context.Background(), []Chunk{{guestwire.Stdout, i * uint64(len(data)), 1_700_000_000_123_456_789, data}}))
				}
				b.SetBytes(n * int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					must(b, l.Read(context.Background(), o, io.Discard))
				}
			})
		}
	}
}

// BenchmarkAttach is the whole path: frames over a unix socket, the json-file, and an attached client on another.
func BenchmarkAttach(b *testing.B) {
	for _, driver := range []string{JSONFile, Local, None} {
		b.Run(driver, func(b *testing.B) {
			c := benchConfig(b, driver)
			c.Options["max-size"] = "200m"
			l, err := Open(c)
			must(b, err)
			defer func() { _ = l.Close() }()
			must(b, l.StartRun(1))
			guest, host := socketPair(b)
			near, far := socketPair(b)
			sub, err := l.Subscribe(SubscribeOptions{Stdout: true, Stderr: true})
			must(b, err)
			var wg sync.WaitGroup
			wg.Go(func() { must(b, Pump(context.Background(), host, l)); must(b, l.EndRun()) })
			wg.Go(func() { must(b, sub.Copy(context.Background(), near)); _ = near.Close() })
			wg.Go(func() { _, _ = io.Copy(io.Discard, onlyReader{far}); _ = far.Close() })
			wg.Go(func() {
				var buf [1024]byte
				for {
					if _, err := guest.Read(buf[:]); err != nil {
						return
					}
				}
			})
			data := bytes.Repeat([]byte(benchLine), 1024)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			frame := make([]byte, guestwire.HeaderSize+len(data))
			copy(frame[guestwire.HeaderSize:], data)
			var off uint64
			for b.Loop() {
				guestwire.Header{Stream: 1, Length: len(data), Offset: off, UnixNano: 1_700_000_000_000_000_000 + int64(off)}.Put(frame)
				_, err := guest.Write(frame)
				must(b, err)
				off += uint64(len(data))
			}
			guestwire.Header{Stream: guestwire.End}.Put(frame)
			_, err = guest.Write(frame[:guestwire.HeaderSize])
			must(b, err)
			wg.Wait()
			_ = guest.Close()
		})
	}
}

type onlyReader struct{ net.Conn }

func (r onlyReader) Read(p []byte) (int, error) { return r.Conn.Read(p) }

func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "logs") //nolint:usetesting // Socket paths are short; a test's own directory may not be.
	must(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	defer func() { _ = ln.Close() }()
	a, err = net.Dial("unix", filepath.Join(dir, "s"))
	must(t, err)
	b, err = ln.Accept()
	must(t, err)
	return a, b
}
