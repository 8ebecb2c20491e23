package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/containerd/errdefs"
)

func routes() []server.Route {
	return []server.Route{
		{Method: "GET", Path: "/_ping", Handler: func(context.Context, *server.Request) (server.Response, error) {
			return server.Text(200, "OK"), nil
		}},
		{Method: "GET", Path: "/images/json", Handler: say("list")},
		{Method: "GET", Path: "/images/{name:*}/json", Handler: say("inspect")},
		{Method: "GET", Path: "/images/{name:*}/history", Handler: say("history")},
		{Method: "DELETE", Path: "/images/{name:*}", Handler: say("remove")},
		{Method: "GET", Path: "/containers/{name}/json", Handler: say("container")},
		{Method: "GET", Path: "/new", MinVersion: "1.44", Handler: say("new")},
		{Method: "GET", Path: "/panic", Handler: func(context.Context, *server.Request) (server.Response, error) { panic("boom") }},
		{Method: "GET", Path: "/missing", Handler: func(context.Context, *server.Request) (server.Response, error) {
			return server.Response{}, errdefs.ErrNotFound.WithMessage("No such container: x")
		}},
		{Method: "POST", Path: "/json", Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
			var v struct{ Name string }
			if err := r.JSON(&v); err != nil {
				return server.Response{}, err
			}
			return server.JSON(201, v), nil
		}},
		{Method: "GET", Path: "/stream", Handler: func(context.Context, *server.Request) (server.Response, error) {
			return server.Stream(200, "text/plain", func(ctx context.Context, w server.FlushWriter) error {
				for range 3 {
					if _, err := io.WriteString(w, strings.Repeat("x", 10000)); err != nil {
						return err
					}
				}
				return nil
			}), nil
		}},
		{Method: "GET", Path: "/lazy", Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
			return server.StreamLazy(200, "text/plain", func(ctx context.Context, w server.FlushWriter) error {
				if r.Bool("fail") {
					return errdefs.ErrNotFound.WithMessage("no such thing")
				}
				_, err := io.WriteString(w, "hello")
				return err
			}), nil
		}},
	}
}

func say(what string) server.Handler {
	return func(_ context.Context, r *server.Request) (server.Response, error) {
		return server.Text(200, what+" "+r.Var("name")+" "+r.Version()), nil
	}
}

func TestAnswers(t *testing.T) {
	s := servertest.New(t, routes())
	tests := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/_ping", "", 200, "OK"},
		{"GET", "/v1.30/_ping", "", 200, "OK"},
		{"GET", "/v1.99/_ping", "", 400, `{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}` + "\n"},
		{"GET", "/v1.20/_ping", "", 400, "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n"},
		{"GET", "/vx/_ping", "", 404, `{"message":"page not found"}` + "\n"},
		{"GET", "/nothing", "", 404, `{"message":"page not found"}` + "\n"},
		{"POST", "/_ping", "", 404, `{"message":"page not found"}` + "\n"},
		{"GET", "/v1.43/new", "", 400, `{"message":"GET /new requires minimum API version 1.44"}` + "\n"},
		{"GET", "/v1.44/new", "", 200, "new  1.44"},
		{"GET", "/images/json", "", 200, "list  1.51"},
		{"GET", "/v1.40/images/a/b/c:1/json", "", 200, "inspect a/b/c:1 1.40"},
		{"GET", "/images/json/json", "", 200, "inspect json 1.51"},
		{"GET", "/images/localhost:5000%2Fa@sha256:00/history", "", 200, "history localhost:5000/a@sha256:00 1.51"},
		{"DELETE", "/images/a/json", "", 200, "remove a/json 1.51"},
		{"GET", "/containers/abc/json", "", 200, "container abc 1.51"},
		{"GET", "/missing", "", 404, `{"message":"No such container: x"}` + "\n"},
		{"GET", "/panic", "", 500, `{"message":"internal error: request `},
		{"POST", "/json", `{"Name":"<x>"}`, 201, `{"Name":"<x>"}` + "\n"},
		{"POST", "/json", `{"Name":`, 400, `{"message":"invalid JSON: unexpected EOF"}` + "\n"},
		{"POST", "/json", `{} {}`, 400, `{"message":"unexpected content after JSON"}` + "\n"},
		{"POST", "/json", `{"Name":"` + strings.Repeat("a", 5<<20) + `"}`, 413, `{"message":"request body too large"}` + "\n"},
		{"GET", "/stream", "", 200, strings.Repeat("x", 30000)},
		{"GET", "/lazy", "", 200, "hello"},
		{"GET", "/lazy?fail=1", "", 404, `{"message":"no such thing"}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://d"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			resp, err := s.Client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || !strings.HasPrefix(string(body), tt.want) {
				t.Errorf("got %d %.200q, want %d %.200q", resp.StatusCode, body, tt.status, tt.want)
			}
		})
	}
}
