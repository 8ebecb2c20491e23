package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/hashicorp/go-hclog"
)

// log is a buffer for several writers.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// TestLog is of what the log holds at the level of every day: failures of ours, and nothing else.
func TestLog(t *testing.T) {
	out := &log{}
	w := newWaiter()
	table := append(w.routes(), server.Route{Method: "GET", Path: "/cut", Handler: func(context.Context, *server.Request) (server.Response, error) {
		return server.Stream(200, "text/plain", func(_ context.Context, w server.FlushWriter) error {
			if _, err := io.WriteString(w, "half"); err != nil {
				return err
			}
			return errors.New("disk is gone")
		}), nil
	}}, server.Route{Method: "GET", Path: "/broken", Handler: func(context.Context, *server.Request) (server.Response, error) {
		return server.Response{}, errors.New("it is broken")
	}}, server.Route{Method: "GET", Path: "/panic", Handler: func(context.Context, *server.Request) (server.Response, error) { panic("boom") }})
	s := servertest.NewConfig(t, server.Config{Routes: table, Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: out, DisableTime: true})})
	for path, want := range map[string]int{"/broken": 500, "/panic": 500, "/nothing": 404} {
		if status, body := do(t, s, "GET", path); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	resp, err := s.Client.Get("http://d/cut")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "half" {
		t.Errorf("a cut body looks whole: %q, %v", body, err)
	}
	_ = resp.Body.Close()
	for _, path := range longPaths {
		conn := dial(t, "unix", s.Socket)
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: d\r\n\r\n")
		<-w.entered
		_ = conn.Close()
		if err := <-w.ended; err == nil {
			t.Error("ended without a cause")
		}
	}
	do(t, s, "GET", "/nothing")
	out.mu.Lock()
	defer out.mu.Unlock()
	text := out.text.String()
	for want, count := range map[string]int{"disk is gone": 1, "it is broken": 1, "panic=boom": 1, "request failed": 3, "handler panicked": 1, "[DEBUG]": 0} {
		if n := strings.Count(text, want); n != count {
			t.Errorf("%q is there %d times, want %d:\n%s", want, n, count, text)
		}
	}
}
