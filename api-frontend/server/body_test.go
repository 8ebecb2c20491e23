package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/containerd/errdefs"
)

func bodies() []server.Route {
	return []server.Route{
		{Method: "PUT", Path: "/refuse", StreamBody: true, Handler: func(context.Context, *server.Request) (server.Response, error) {
			return server.Response{}, errdefs.ErrNotFound.WithMessage("No such container: x")
		}},
		{Method: "PUT", Path: "/count", StreamBody: true, Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
			n, err := io.Copy(io.Discard, r.Body())
			return server.Text(200, fmt.Sprint(n)), err
		}},
		{Method: "GET", Path: "/json", Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
			var v map[string]any
			return server.NoContent(), r.JSON(&v)
		}},
	}
}

func put(t *testing.T, s *servertest.Server, path string, size int64, chunked bool) (int, string) {
	t.Helper()
	body := io.LimitReader(zeros{}, size)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://d"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if !chunked {
		req.ContentLength = size
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatalf("%s, %d bytes, chunked %v: %v", path, size, chunked, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A client that is still sending its body sees the refusal, not a broken pipe.
func TestRefusalBeforeTheBodyIsRead(t *testing.T) {
	s := servertest.New(t, bodies())
	for range 20 {
		for _, size := range []int64{0, 1, 100 << 10, 20 << 20, 200 << 20} {
			for _, chunked := range []bool{false, true} {
				if status, body := put(t, s, "/refuse", size, chunked); status != 404 || !strings.Contains(body, "No such container: x") {
					t.Errorf("%d bytes: %d %s", size, status, body)
				}
			}
		}
	}
}

func TestBodiesAreStreamed(t *testing.T) {
	s := servertest.New(t, bodies())
	for _, size := range []int64{0, 1, 4096, 64 << 20} {
		for _, chunked := range []bool{false, true} {
			if status, body := put(t, s, "/count", size, chunked); status != 200 || body != fmt.Sprint(size) {
				t.Errorf("%d bytes: %d %s", size, status, body)
			}
		}
	}
}

func TestExpectContinue(t *testing.T) {
	s := servertest.New(t, bodies())
	conn := dial(t, "unix", s.Socket)
	send(t, conn, "PUT /count HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	r := bufio.NewReader(conn)
	if head, err := readHead(r); err != nil || !strings.HasPrefix(head, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", head, err)
	}
	send(t, conn, "hello")
	if head, err := readHead(r); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Errorf("%q, %v", head, err)
	}
}

func TestNoBodyIsNoJSON(t *testing.T) {
	s := servertest.New(t, bodies())
	if status, body := do(t, s, "GET", "/json"); status != 204 {
		t.Errorf("%d %s", status, body)
	}
}
