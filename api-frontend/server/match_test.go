package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

// Every name is allowed to look like a part of another route.
func TestNamesThatLookLikeRoutes(t *testing.T) {
	var table []server.Route
	for _, path := range []string{
		"GET /images/json", "GET /images/get", "GET /images/search", "GET /images/{name:*}/json", "GET /images/{name:*}/history",
		"GET /images/{name:*}/get", "DELETE /images/{name:*}", "POST /images/create", "POST /images/load", "POST /images/prune",
		"POST /images/{name:*}/tag", "POST /images/{name:*}/push", "GET /distribution/{name:*}/json",
		"GET /containers/json", "GET /containers/{id}/json", "GET /containers/{name}/top", "GET /containers/{id}/attach/ws",
		"POST /containers/create", "POST /containers/prune", "POST /containers/{id}/start", "POST /containers/{name}/exec", "POST /containers/{id}/stop",
		"DELETE /containers/{id}", "POST /exec/{id}/start", "GET /volumes", "GET /volumes/{name}", "POST /volumes/prune", "GET /plugins/{name:*}/json",
	} {
		method, path, _ := cut(path)
		table = append(table, server.Route{Method: method, Path: path, Handler: func(_ context.Context, r *server.Request) (server.Response, error) {
			return server.Text(200, path+" "+r.Var("name")+r.Var("id")), nil
		}})
	}
	s := servertest.New(t, table)
	for request, want := range map[string]string{
		"GET /images/json":                      "/images/json ",
		"GET /images/jsonx/json":                "/images/{name:*}/json jsonx",
		"GET /images/js/json":                   "/images/{name:*}/json js",
		"GET /images/json/json":                 "/images/{name:*}/json json",
		"GET /images/get/get":                   "/images/{name:*}/get get",
		"GET /images/a/json/history":            "/images/{name:*}/history a/json",
		"GET /images/a/history/json":            "/images/{name:*}/json a/history",
		"GET /images/a/b/c/d/e:f@sha256:0/json": "/images/{name:*}/json a/b/c/d/e:f@sha256:0",
		"GET /images/a":                         "",
		"DELETE /images/json":                   "/images/{name:*} json",
		"DELETE /images/a/b":                    "/images/{name:*} a/b",
		"POST /images/loader/tag":               "/images/{name:*}/tag loader",
		"POST /images/load/tag":                 "/images/{name:*}/tag load",
		"POST /images/load":                     "/images/load ",
		"POST /images/create/x/push":            "/images/{name:*}/push create/x",
		"GET /distribution/a/b/json":            "/distribution/{name:*}/json a/b",
		"GET /containers/jsonx/json":            "/containers/{id}/json jsonx",
		"GET /containers/js/top":                "/containers/{name}/top js",
		"GET /containers/json/json":             "/containers/{id}/json json",
		"GET /containers/json/attach/ws":        "/containers/{id}/attach/ws json",
		"POST /containers/create/start":         "/containers/{id}/start create",
		"POST /containers/created/start":        "/containers/{id}/start created",
		"POST /containers/c/exec":               "/containers/{name}/exec c",
		"POST /containers/prune/stop":           "/containers/{id}/stop prune",
		"DELETE /containers/json":               "/containers/{id} json",
		"GET /volumes/prune":                    "/volumes/{name} prune",
		"GET /volumes/":                         "",
		"GET /images//json":                     "/images/json ",
	} {
		method, path, _ := cut(request)
		resp, body := do(t, s, method, "/v1.51"+path)
		if want == "" && resp != 404 || want != "" && body != want {
			t.Errorf("%s: %d %q, want %q", request, resp, body, want)
		}
	}
}

func TestTablesThatContradict(t *testing.T) {
	for _, paths := range [][]string{{"/a", "/a"}, {"/a/{x}", "/a/{y}"}, {"/a/{x:*}/b/{y}"}, {"/a/{x:*}/b", "/a/{y:*}/b"}, {"a"}, {"/a/{x"}} {
		var table []server.Route
		for _, path := range paths {
			table = append(table, server.Route{Method: "GET", Path: path, Handler: say("")})
		}
		if _, err := server.New(server.Config{Routes: table}); err == nil {
			t.Errorf("%v are taken", paths)
		}
	}
}

func cut(request string) (method, path string, ok bool) { return strings.Cut(request, " ") }

func do(t testing.TB, s *servertest.Server, method, target string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://d"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
