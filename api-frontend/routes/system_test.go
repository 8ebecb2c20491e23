package routes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
	"github.com/arca-engine/arca/api-frontend/system"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/registry"
	apisystem "github.com/moby/moby/api/types/system"
)

// fakeSystem answers with little, and remembers what it was asked.
type fakeSystem struct{ usage system.UsageOptions }

func (*fakeSystem) Info(context.Context) *apisystem.Info {
	return &apisystem.Info{ID: "id", OSType: "linux", RuncCommit: apisystem.Commit{ID: "abc"}, RegistryConfig: &registry.ServiceConfig{Mirrors: []string{"http://m/"}},
		Runtimes: map[string]apisystem.RuntimeWithStatus{"runc": {Status: map[string]string{"a": "b"}}}, CgroupVersion: "2", CgroupDriver: "cgroupfs"}
}

func (*fakeSystem) Version() apisystem.VersionResponse {
	return apisystem.VersionResponse{Version: "1", APIVersion: "1.51", Os: "linux"}
}

func (f *fakeSystem) DiskUsage(_ context.Context, o system.UsageOptions) (*system.DiskUsage, error) {
	f.usage = o
	return &system.DiskUsage{}, nil
}

func (*fakeSystem) Authenticate(_ context.Context, auth registry.AuthConfig) (string, error) {
	switch auth.Password {
	case "secret":
		return "", nil
	case "down":
		return "", errors.New("boom")
	}
	return "", errdefs.ErrUnauthenticated.WithMessage("unauthorized: incorrect username or password")
}

func call(t *testing.T, s *servertest.Server, method, target, body string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://d"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
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
	return answer{StatusCode: resp.StatusCode, Header: resp.Header}, string(text)
}

func TestPing(t *testing.T) {
	s := servertest.New(t, SystemRoutes(&fakeSystem{}))
	for _, method := range []string{"HEAD", "GET"} {
		resp, body := call(t, s, method, "/_ping", "")
		want := map[string]string{"GET": "OK"}[method]
		if resp.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %q", method, resp.StatusCode, body)
		}
		for key, value := range map[string]string{
			"Api-Version": "1.51", "Cache-Control": "no-cache, no-store, must-revalidate", "Content-Type": "text/plain; charset=utf-8",
			"Docker-Experimental": "false", "Ostype": "linux", "Pragma": "no-cache", "Server": "Arca/test (linux)", "Swarm": "inactive",
			"Builder-Version": "", "Content-Length": map[string]string{"HEAD": "0", "GET": "2"}[method],
		} {
			if got := resp.Header.Get(key); got != value {
				t.Errorf("%s: %s is %q, want %q", method, key, got, value)
			}
		}
	}
}

func TestInfoByVersion(t *testing.T) {
	s := servertest.New(t, SystemRoutes(&fakeSystem{}))
	tests := []struct {
		version       string
		with, without []string
	}{
		{"1.51", []string{`"RuncCommit":{"ID":"abc"}`}, []string{"BridgeNf", "Expected", "Nondistributable"}},
		{"1.49", []string{`"BridgeNfIptables":false`, `"BridgeNfIp6tables":false`, `"RuncCommit":{"ID":"abc"}`}, []string{"Expected", "Nondistributable"}},
		{"1.48", []string{`"RuncCommit":{"ID":"abc","Expected":"abc"}`, `"status"`}, []string{"Nondistributable"}},
		{"1.43", []string{`"AllowNondistributableArtifactsCIDRs":null`, `"Mirrors":["http://m/"]`}, []string{`"status"`}},
	}
	for _, tt := range tests {
		resp, body := call(t, s, "GET", "/v"+tt.version+"/info", "")
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %s", tt.version, body)
		}
		for _, want := range tt.with {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s", tt.version, want, body)
			}
		}
		for _, not := range tt.without {
			if strings.Contains(body, not) {
				t.Errorf("%s: %s in %s", tt.version, not, body)
			}
		}
		if tt.version == "1.51" {
			speccheck.Answer(t, "GET", "/info", 200, []byte(body))
		}
	}
}

func TestVersionRoute(t *testing.T) {
	s := servertest.New(t, SystemRoutes(&fakeSystem{}))
	_, body := call(t, s, "GET", "/version", "")
	speccheck.Answer(t, "GET", "/version", 200, []byte(body))
}

func TestDiskUsageRoute(t *testing.T) {
	f := &fakeSystem{}
	s := servertest.New(t, SystemRoutes(f))
	all := system.UsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true}
	for target, want := range map[string]system.UsageOptions{
		"/v1.51/system/df":                             all,
		"/v1.41/system/df?type=image":                  all,
		"/v1.51/system/df?type=image":                  {Images: true},
		"/v1.51/system/df?type=container&type=volume":  {Containers: true, Volumes: true},
		"/v1.51/system/df?type=build-cache&verbose=no": {BuildCache: true},
	} {
		resp, body := call(t, s, "GET", target, "")
		if resp.StatusCode != 200 || f.usage != want {
			t.Errorf("%s: %d, %+v", target, resp.StatusCode, f.usage)
		}
		speccheck.Answer(t, "GET", "/system/df", 200, []byte(body))
	}
	if resp, body := call(t, s, "GET", "/system/df?type=x", ""); resp.StatusCode != 400 || body != `{"message":"unknown object type: x"}`+"\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestAuthRoute(t *testing.T) {
	s := servertest.New(t, SystemRoutes(&fakeSystem{}))
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		`{"username":"u","password":"secret"}`: {200, `{"Status":"Login Succeeded"}`},
		`{"username":"u","password":"wrong"}`:  {401, `{"message":"unauthorized: incorrect username or password"}`},
		`{"username":"u","password":"down"}`:   {500, `{"message":"boom"}`},
		`{"username":1}`:                       {400, `{"message":"invalid JSON: json: cannot unmarshal number into Go struct field AuthConfig.username of type string"}`},
	} {
		resp, text := call(t, s, "POST", "/auth", body)
		if resp.StatusCode != want.status || strings.TrimSpace(text) != want.text {
			t.Errorf("%s: %d %s", body, resp.StatusCode, text)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("not JSON: %s", text)
		}
		if want.status != http.StatusBadRequest {
			speccheck.Answer(t, "POST", "/auth", want.status, []byte(text))
		}
	}
}
