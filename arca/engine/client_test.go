package engine

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

func TestClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Version":"1","ApiVersion":"1.51"}`))
	})
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"Id":"abc","Names":["/one"]}]`))
	})
	mux.HandleFunc("POST /containers/stopped/stop", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("POST /containers/broken/stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"message":"it broke"}`))
	})
	socket := filepath.Join(t.TempDir(), "s")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(mux)
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	c := New(socket)
	defer c.Close()
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := c.Version(t.Context()); err != nil || v.APIVersion != "1.51" {
		t.Errorf("Version = %+v, %v", v, err)
	}
	if list, err := c.Running(t.Context()); err != nil || len(list) != 1 || list[0].ID != "abc" {
		t.Errorf("Running = %+v, %v", list, err)
	}
	if err := c.Stop(t.Context(), "stopped"); err != nil {
		t.Errorf("stop of a stopped container: %v", err)
	}
	var answer *Error
	if err := c.Stop(t.Context(), "broken"); !errors.As(err, &answer) || answer.Message != "it broke" {
		t.Errorf("stop that fails: %v", err)
	}
}
