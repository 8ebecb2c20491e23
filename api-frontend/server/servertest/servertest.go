package servertest

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
)

// Server is a running server.
type Server struct {
	// Socket is the path of its unix socket.
	Socket string
	// Client speaks to it; the host of a URL does not matter ("http://d/v1.51/info").
	Client *http.Client
}

// New serves the routes until the test ends, and waits for the server's end then.
func New(t testing.TB, routes []server.Route) *Server {
	t.Helper()
	return NewConfig(t, server.Config{Routes: routes, EngineVersion: "test"})
}

// NewConfig is New with a whole configuration.
func NewConfig(t testing.TB, cfg server.Config) *Server {
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
	socket := filepath.Join(dir, "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel(nil)
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &Server{Socket: socket, Client: &http.Client{Transport: transport}}
}
