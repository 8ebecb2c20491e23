//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"io"
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
	flood := arca.Start(t, "--log-opt", "max-size=10m", "busybox", "sh", "-c", "while :; do for i in 1 2 3 4 5 6 7 8 9; do echo a line of the flood $i; done; usleep 20000; done")
	n := scaled(t, 1000)
	for _, call := range []struct{ what, method, path string }{
		{"attach", "POST", "/v1.51/containers/" + name + "/attach?stream=1&stdout=1&stderr=1&stdin=1"},
		{"wait", "POST", "/v1.51/containers/" + name + "/wait"},
		{"logs", "GET", "/v1.51/containers/" + name + "/logs?stdout=1&stderr=1&follow=1"},
		{"events", "GET", "/v1.51/events"},
		{"stats", "GET", "/v1.51/containers/" + name + "/stats"},
		{"exec", "POST", "/v1.51/containers/" + name + "/exec"},
		{"logs of a flood", "GET", "/v1.51/containers/" + flood + "/logs?stdout=1&follow=1"},
		{"attach to a flood", "POST", "/v1.51/containers/" + flood + "/attach?stream=1&stdout=1&logs=1"},
	} {
		t.Run(call.what, func(t *testing.T) {
			abort(t, call.method, call.path) // what the first one makes may stay
			before := arca.Take(t)
			var g errgroup.Group
			g.SetLimit(32)
			for range n {
				g.Go(func() error { return leave(t.Context(), call.method, call.path) })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			before.Back(t, arca, 4) // of 1,000; the machine's other work moves the counts a little
		})
	}
}

func abort(t *testing.T, method, path string) {
	t.Helper()
	if err := leave(t.Context(), method, path); err != nil {
		t.Fatal(err)
	}
}

// leave aborts a call; an exec has to be made before.
func leave(ctx context.Context, method, path string) error {
	if !strings.HasSuffix(path, "/exec") {
		return abortOne(ctx, method, path, nil)
	}
	body := `{"AttachStdin":true,"AttachStdout":true,"Cmd":["sh","-c","echo begun; cat"]}` // ends when its client has left
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://arca"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	client := arca.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var made struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		return err
	}
	return abortOne(ctx, method, "/v1.51/exec/"+made.ID+"/start", strings.NewReader(`{}`))
}

// abortOne opens a long call, waits for its first byte (an event stream's may never come) and leaves.
func abortOne(ctx context.Context, method, path string, body io.Reader) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", arca.Socket())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	if strings.Contains(path, "/attach") || strings.Contains(path, "/exec/") {
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "tcp")
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://arca"+path, body)
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
