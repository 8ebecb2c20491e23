package routes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	"github.com/arca-engine/arca/api-frontend/routes"
	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/store"
)

// imageServer serves the image routes of a fresh engine.
func imageServer(t *testing.T) *servertest.Server {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := image.New(image.Options{
		Dir: filepath.Join(dir, "images"), Store: db, Publisher: new(event.Bus),
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	ping := func(context.Context, *server.Request) (server.Response, error) {
		return server.Text(http.StatusOK, "OK").WithHeader("Api-Version", "1.51").WithHeader("Ostype", "linux"), nil
	}
	table, err := routes.Table(routes.ImageRoutes(s), routes.DistributionRoutes(s), []server.Route{
		{Method: http.MethodGet, Path: "/_ping", Handler: ping}, {Method: http.MethodHead, Path: "/_ping", Handler: ping},
	})
	if err != nil {
		t.Fatal(err)
	}
	return servertest.New(t, table)
}

// ask makes a request and returns status and body.
func ask(t *testing.T, s *servertest.Server, method, path string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://d"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestImageErrors(t *testing.T) {
	s := imageServer(t)
	reg := imagetest.NewRegistry(t)
	name := reg.Push("a/b/c/d:v1", imagetest.Small(t))
	if status, body := ask(t, s, http.MethodPost, "/v1.51/images/create?fromImage="+name, nil); status != 200 || !strings.Contains(body, "Downloaded newer image") {
		t.Fatalf("pull: %d %s", status, body)
	}
	for _, c := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"GET", "/images/nope/json", 404, "No such image: nope:latest"},
		{"GET", "/images/no/such/name:tag/json", 404, "No such image: no/such/name:tag"},
		{"GET", "/images/UPPER/json", 400, "invalid reference format"},
		{"GET", "/images/nope/history", 404, "No such image: nope:latest"},
		{"DELETE", "/images/nope", 404, "No such image: nope:latest"},
		{"POST", "/images/nope/tag?repo=x", 404, "No such image: nope:latest"},
		{"POST", "/images/" + name + "/tag?repo=UPPER", 400, "invalid reference format: repository name (library/UPPER) must be lowercase"},
		{"POST", "/images/create?fromImage=scratch", 403, "'scratch' is a reserved name"},
		{"POST", "/images/create?fromImage=" + reg.Host() + "/a/b/c/d&tag=gone", 404, "manifest for " + reg.Host() + "/a/b/c/d:gone not found: manifest unknown: Unknown manifest"},
		{"POST", "/images/create?fromImage=x&platform=a/b/c/d/e", 400, "\"a/b/c/d/e\""},
		{"GET", "/images/json?filters=%7B%22nope%22%3A%5B%22x%22%5D%7D", 400, "invalid filter 'nope'"},
		{"GET", "/images/json?filters=nope", 400, "invalid filter"},
		{"GET", "/images/search?term=x", 501, "searching a registry is not supported"},
		{"GET", "/images/get?names=nope", 404, "No such image: nope:latest"},
		{"POST", "/images/nope/push?tag=x", 404, "tag does not exist: nope:x"},
		{"GET", "/distribution/" + reg.Host() + "/none/json", 404, "not found"},
	} {
		status, body := ask(t, s, c.method, "/v1.51"+c.path, nil)
		var m struct{ Message string }
		if err := json.Unmarshal([]byte(body), &m); err != nil || status != c.status || !strings.Contains(m.Message, c.message) {
			t.Errorf("%s %s: %d %s; want %d %q", c.method, c.path, status, body, c.status, c.message)
		}
	}
}

func TestInspectOfOldVersions(t *testing.T) {
	s := imageServer(t)
	reg := imagetest.NewRegistry(t)
	name := reg.Push("old:v1", imagetest.Small(t))
	ask(t, s, http.MethodPost, "/images/create?fromImage="+name, nil)
	for _, c := range []struct {
		version string
		has     []string
		lacks   []string
	}{
		{"1.51", []string{"GraphDriver", "Parent", "DockerVersion", "RootFS", "Metadata"}, []string{"VirtualSize", "Container", "ContainerConfig"}},
		{"1.44", []string{"ContainerConfig", "Container"}, []string{"VirtualSize"}},
		{"1.24", []string{"VirtualSize", "ContainerConfig"}, nil},
	} {
		_, body := ask(t, s, http.MethodGet, "/v"+c.version+"/images/"+name+"/json", nil)
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatal(err)
		}
		for _, k := range c.has {
			if _, ok := m[k]; !ok {
				t.Errorf("%s lacks %s", c.version, k)
			}
		}
		for _, k := range c.lacks {
			if _, ok := m[k]; ok {
				t.Errorf("%s has %s", c.version, k)
			}
		}
	}
}

// TestDockerCLI drives the real client.
func TestDockerCLI(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("no docker client here")
	}
	s := imageServer(t)
	reg := imagetest.NewRegistry(t)
	name := reg.Push("team/deep/app:v1", imagetest.Deep(t, 30))
	run := func(want string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), docker, args...)
		cmd.Env = append(cmd.Environ(), "DOCKER_HOST=unix://"+s.Socket, "DOCKER_CONFIG="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("docker %v: %v\n%s\nwant %q", args, err, out, want)
		}
		return string(out)
	}
	run("Status: Downloaded newer image for "+name, "pull", name)
	run("Image is up to date", "pull", name)
	run("team/deep/app", "images")
	run("linux", "image", "inspect", name)
	run("ADD layer 29", "history", "--no-trunc", name)
	run("", "tag", name, reg.Host()+"/copy/app:v2")
	run("digest: sha256:", "push", reg.Host()+"/copy/app:v2")
	file := filepath.Join(t.TempDir(), "a.tar")
	run("", "save", "-o", file, name, reg.Host()+"/copy/app:v2")
	run("Untagged: ", "rmi", name)
	run("Deleted: sha256:", "rmi", reg.Host()+"/copy/app:v2")
	if out := run("", "images", "-q"); strings.TrimSpace(out) != "" {
		t.Fatalf("images are left: %s", out)
	}
	run("Loaded image: "+reg.Host()+"/copy/app:v2", "load", "-i", file)
	run("sha256:", "images", "--digests", "--no-trunc")
	run("Total reclaimed space", "image", "prune", "-af")
	run("Status: Downloaded newer image for "+reg.Host()+"/copy/app:v2", "pull", reg.Host()+"/copy/app:v2")
}
