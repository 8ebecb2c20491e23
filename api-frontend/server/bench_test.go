package server_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

// BenchmarkPing measures requests on a number of connections that stay open, as the request rate of dockerd is
// measured beside it.
func BenchmarkPing(b *testing.B) {
	for _, conns := range []int{1, 16} {
		b.Run(map[int]string{1: "one", 16: "sixteen"}[conns], func(b *testing.B) {
			s := servertest.New(b, routes())
			b.ReportAllocs()
			var running sync.WaitGroup
			b.ResetTimer()
			for range conns {
				conn := dial(b, "unix", s.Socket)
				running.Go(func() {
					r := bufio.NewReader(conn)
					for range b.N / conns {
						send(b, conn, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
						skip(b, r, 2)
					}
				})
			}
			running.Wait()
			b.ReportMetric(float64(b.N/conns*conns)/b.Elapsed().Seconds(), "req/s")
		})
	}
}

func skip(b *testing.B, r *bufio.Reader, body int) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Error(err)
			return
		}
		if bytes.Equal(line, []byte("\r\n")) {
			break
		}
	}
	if _, err := r.Discard(body); err != nil {
		b.Error(err)
	}
}

// BenchmarkStream measures a streamed answer in writes of 32 KiB.
func BenchmarkStream(b *testing.B) {
	s := servertest.New(b, blocks(b.N))
	b.SetBytes(32 << 10)
	resp, err := s.Client.Get("http://d/blocks")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(b.N)*32<<10 {
		b.Error(n, err)
	}
}

func blocks(n int) []server.Route {
	return []server.Route{{Method: "GET", Path: "/blocks", Handler: func(context.Context, *server.Request) (server.Response, error) {
		return server.Stream(200, "application/x-tar", func(_ context.Context, w server.FlushWriter) error {
			block := make([]byte, 32<<10)
			for range n {
				if _, err := w.Write(block); err != nil {
					return err
				}
			}
			return nil
		}), nil
	}}}
}
