//go:build soak

package soak

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestAbortedClients: clients that leave long calls are noticed, and leave nothing behind.
func TestAbortedClients(t *testing.T) {
	name := arca.Sleeper(t)
	n := scaled(t, 1000)
	for _, call := range []struct{ what, method, path string }{
		{"attach", "POST", "/v1.51/containers/" + name + "/attach?stream=1&stdout=1&stderr=1&stdin=1"},
		{"wait", "POST", "/v1.51/containers/" + name + "/wait"},
		{"logs", "GET", "/v1.51/containers/" + name + "/logs?stdout=1&stderr=1&follow=1"},
		{"events", "GET", "/v1.51/events"},
		{"stats", "GET", "/v1.51/containers/" + name + "/stats"},
	} {
		t.Run(call.what, func(t *testing.T) {
			abort(t, call.method, call.path) // what the first one makes may stay
			before := arca.Take(t)
			var g errgroup.Group
			g.SetLimit(32)
			for range n {
				g.Go(func() error { return abortOne(t.Context(), call.method, call.path) })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			before.Back(t, arca, 0)
		})
	}
}

func abort(t *testing.T, method, path string) {
	t.Helper()
	if err := abortOne(t.Context(), method, path); err != nil {
		t.Fatal(err)
	}
}

// abortOne opens a long call, waits for its first byte (an event stream's may never come) and leaves.
func abortOne(ctx context.Context, method, path string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", arca.Socket())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	header := http.Header{}
	if strings.Contains(path, "/attach") {
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "tcp")
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://arca"+path, nil)
	if err != nil {
		return err
	}
	req.Header = header
	if err := req.Write(conn); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 64))
	return err
}
