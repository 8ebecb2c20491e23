package join

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// pair returns the two ends of a unix connection.
func pair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, s
}

func start(ctx context.Context, a, b Stream) <-chan error {
	done := make(chan error, 1)
	go func() { done <- Join(ctx, a, b) }()
	return done
}

func TestHalfCloseIsKept(t *testing.T) {
	defer goleak.VerifyNone(t)
	client, a := pair(t)
	server, b := pair(t)
	done := start(t.Context(), a, b)

	request := bytes.Repeat([]byte("question"), 100_000)
	go func() {
		if _, err := client.Write(request); err != nil {
			t.Error(err)
		}
		if err := client.CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, request) {
		t.Fatalf("server read %d bytes, %v", len(got), err)
	}
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	got, err = io.ReadAll(client)
	if err != nil || string(got) != "answer" {
		t.Fatalf("client read %q, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCancelClosesBoth(t *testing.T) {
	defer goleak.VerifyNone(t)
	client, a := pair(t)
	server, b := pair(t)
	cause := errors.New("the container ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := start(ctx, a, b)
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Fatalf("got %v", err)
	}
	for _, c := range []net.Conn{client, server} {
		if _, err := io.ReadAll(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteFailureEndsBoth(t *testing.T) {
	defer goleak.VerifyNone(t)
	client, a := pair(t)
	server, b := pair(t)
	done := start(t.Context(), a, b)
	_ = server.Close()
	// The client goes on writing to one who has left: sooner or later that fails, and the client is told.
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := client.Write(make([]byte, 4096)); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the client was never told")
		}
	}
	if err := <-done; err == nil {
		t.Fatal("no error for a write that failed")
	}
}

func TestWithoutHalfClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	client, a := pair(t)
	near, far := net.Pipe()
	done := start(t.Context(), a, Of(near))
	_ = client.CloseWrite()
	if _, err := io.ReadAll(far); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !isClosed(err) {
		t.Fatal(err)
	}
}

func BenchmarkJoin(b *testing.B) {
	dir := b.TempDir()
	mk := func(name string) (net.Conn, Stream) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name)})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
		if err != nil {
			b.Fatal(err)
		}
		s, err := l.AcceptUnix()
		if err != nil {
			b.Fatal(err)
		}
		return c, s
	}
	client, a1 := mk("a")
	server, b1 := mk("b")
	done := start(b.Context(), a1, b1)
	buf := make([]byte, 256<<10)
	b.SetBytes(int64(len(buf)))
	go func() {
		for range b.N {
			if _, err := client.Write(buf); err != nil {
				b.Error(err)
			}
		}
		_ = client.Close()
	}()
	_, _ = io.Copy(io.Discard, server)
	_ = server.Close()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
