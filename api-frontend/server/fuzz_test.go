package server_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

// FuzzRequest sends anything at all; the server must answer or close, and go on serving.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n", "POST /json HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"POST /json HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "GET /v1.51/images/%2e%2e/json HTTP/1.0\r\n\r\n",
		"GET /lazy?fail=1 HTTP/1.1\r\nConnection: close\r\n\r\n", "POST /echo HTTP/1.1\r\nUpgrade: tcp\r\n\r\nx", "\x16\x03\x01",
	} {
		f.Add([]byte(seed))
	}
	s := servertest.New(f, append(routes(), echo()...))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := dial(t, "unix", s.Socket)
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// A request that is refused early may close the connection while it is being sent.
		_, _ = conn.Write(data)
		_ = conn.(*net.UnixConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
			t.Errorf("%q: %v", data, err)
		}
		if status, body := do(t, s, "GET", "/_ping"); status != 200 || body != "OK" {
			t.Errorf("after %q: %d %q", data, status, body)
		}
	})
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
