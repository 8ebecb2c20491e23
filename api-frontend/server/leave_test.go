package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestDate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Config{Routes: routes()}, l)
	conn := dial(t, "tcp", l.Addr().String())
	send(t, conn, "GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
	head, err := readHead(bufio.NewReader(conn))
	if err != nil || !strings.Contains(head, "\r\nDate: ") {
		t.Errorf("%q, %v", head, err)
	}
}

// waiter is a table of calls that go on until their context ends, and where the ends are told.
type waiter struct {
	entered chan struct{}
	ended   chan error
	torn    chan error
}

func newWaiter() *waiter {
	return &waiter{make(chan struct{}, 2000), make(chan error, 2000), make(chan error, 2000)}
}

func (w *waiter) wait(ctx context.Context) error {
	w.entered <- struct{}{}
	<-ctx.Done()
	w.ended <- context.Cause(ctx)
	return context.Cause(ctx)
}

func (w *waiter) routes() []server.Route {
	handler := func(resp func() server.Response) server.Handler {
		return func(context.Context, *server.Request) (server.Response, error) { return resp(), nil }
	}
	return []server.Route{
		{Method: "GET", Path: "/plain", Handler: func(ctx context.Context, _ *server.Request) (server.Response, error) {
			return server.NoContent(), w.wait(ctx)
		}},
		{Method: "GET", Path: "/stream", Handler: handler(func() server.Response {
			return server.Stream(200, "text/plain", func(ctx context.Context, _ server.FlushWriter) error { return w.wait(ctx) })
		})},
		{Method: "GET", Path: "/lazy", Handler: handler(func() server.Response {
			return server.StreamLazy(200, "text/plain", func(ctx context.Context, _ server.FlushWriter) error { return w.wait(ctx) })
		})},
		{Method: "GET", Path: "/lazystarted", Handler: handler(func() server.Response {
			return server.StreamLazy(200, "text/plain", func(ctx context.Context, out server.FlushWriter) error {
				if _, err := io.WriteString(out, "x"); err != nil {
					return err
				}
				return w.wait(ctx)
			})
		})},
		{Method: "GET", Path: "/hijack", Handler: handler(func() server.Response {
			return server.Hijack(server.MediaRaw, func(ctx context.Context, _ *server.HijackConn) error { return w.wait(ctx) })
		})},
		{Method: "POST", Path: "/upload", StreamBody: true, Handler: func(ctx context.Context, r *server.Request) (server.Response, error) {
			w.entered <- struct{}{}
			_, err := io.Copy(io.Discard, r.Body())
			w.torn <- err
			return server.NoContent(), err
		}},
		{Method: "POST", Path: "/stdin", Handler: handler(func() server.Response {
			return server.Hijack(server.MediaRaw, func(_ context.Context, conn *server.HijackConn) error {
				w.entered <- struct{}{}
				_, err := io.Copy(io.Discard, conn)
				w.torn <- err
				return err
			})
		})},
	}
}

var longPaths = []string{"/plain", "/stream", "/lazy", "/lazystarted", "/hijack"}

func dial(t testing.TB, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, d time.Duration, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(d):
		t.Fatalf("nothing within %v", d)
		return nil
	}
}

func TestLeavingIsNoticed(t *testing.T) {
	w := newWaiter()
	s := servertest.New(t, w.routes())
	for _, path := range longPaths {
		t.Run(path, func(t *testing.T) {
			conn := dial(t, "unix", s.Socket)
			send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n")
			<-w.entered
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrClientLeft) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestLeavingIsNoticedOverTCP(t *testing.T) {
	w := newWaiter()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Config{Routes: w.routes()}, l)
	for _, path := range []string{"/plain", "/stream"} {
		conn := dial(t, "tcp", l.Addr().String())
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		<-w.entered
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrClientLeft) {
			t.Errorf("%s ended with %v", path, err)
		}
	}
}

// serve serves until the test ends.
func serve(t testing.TB, cfg server.Config, l net.Listener) (stop func()) {
	t.Helper()
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel(nil)
		if err := within(t, 5*time.Second, done); err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestHalfCloseIsNotLeaving(t *testing.T) {
	w := newWaiter()
	s := servertest.New(t, w.routes())
	for _, path := range longPaths {
		t.Run(path, func(t *testing.T) {
			conn := dial(t, "unix", s.Socket)
			send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n")
			<-w.entered
			if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-w.ended:
				t.Errorf("the half-close ended it: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrClientLeft) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestLeavingInTheMiddleOfABody(t *testing.T) {
	w := newWaiter()
	s := servertest.New(t, w.routes())
	conn := dial(t, "unix", s.Socket)
	send(t, conn, "POST /upload HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nabc")
	<-w.entered
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, time.Second, w.torn); err == nil {
		t.Error("a torn body was taken for whole")
	}
}

func TestAbortedRequestsLeaveNothing(t *testing.T) {
	w := newWaiter()
	s := servertest.New(t, w.routes())
	count := 200
	if !testing.Short() {
		count = 1000
	}
	round := func() {
		for i := range count {
			conn := dial(t, "unix", s.Socket)
			send(t, conn, "GET "+longPaths[i%len(longPaths)]+" HTTP/1.1\r\nHost: d\r\n\r\n")
			<-w.entered
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for range count {
			if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrClientLeft) {
				t.Fatalf("ended with %v", err)
			}
		}
	}
	round()
	goroutines, descriptors := usage(t)
	round()
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		g, d := usage(t)
		if g <= goroutines+5 && d <= descriptors+5 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines %d, then %d; descriptors %d, then %d", goroutines, g, descriptors, d)
		}
	}
}

func usage(t testing.TB) (goroutines, descriptors int) {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return runtime.NumGoroutine(), len(entries)
}

func TestServeEndsLongCalls(t *testing.T) {
	w := newWaiter()
	l, err := net.Listen("unix", shortDir(t)+"/s")
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, server.Config{Routes: w.routes(), Grace: 50 * time.Millisecond}, l)
	for _, path := range longPaths {
		conn := dial(t, "unix", l.Addr().String())
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n")
		<-w.entered
	}
	// These do not look at their context: one waits for stdin, one for a body.
	for _, text := range []string{"POST /stdin HTTP/1.1\r\nHost: d\r\n\r\n", "POST /upload HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\na"} {
		conn := dial(t, "unix", l.Addr().String())
		send(t, conn, text)
		<-w.entered
	}
	stop()
	for range 2 {
		if err := within(t, time.Second, w.torn); err == nil {
			t.Error("a cut input was taken for whole")
		}
	}
	for range longPaths {
		if err := within(t, time.Second, w.ended); !errors.Is(err, server.ErrStopping) {
			t.Errorf("ended with %v", err)
		}
	}
}

func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "arca") //nolint:usetesting // Socket paths are short; a test's own directory may not be.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestHeadersGoOutAtOnce(t *testing.T) {
	w := newWaiter()
	s := servertest.New(t, w.routes())
	conn := dial(t, "unix", s.Socket)
	send(t, conn, "GET /stream HTTP/1.1\r\nHost: d\r\n\r\n")
	head, err := readHead(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Type: text/plain", "Api-Version: 1.51",
		"Ostype: linux", "Docker-Experimental: false", "Server: Arca/test (linux)"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in %q", want, head)
		}
	}
}

func readHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return head.String(), fmt.Errorf("read head: %w", err)
		}
		if line == "\r\n" {
			return head.String(), nil
		}
		head.WriteString(line)
	}
}
