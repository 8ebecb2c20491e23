package routes

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
	"github.com/arca-engine/arca/api-frontend/store"
	volumes "github.com/arca-engine/arca/api-frontend/volume"
)

// ask makes one request with a JSON body and returns status and answer.
func ask(t *testing.T, s *servertest.Server, method, target, body string) (int, []byte) {
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
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// wantMessage checks an error answer.
func wantMessage(t *testing.T, what string, status int, body []byte, wantStatus int, want string) {
	t.Helper()
	var got struct{ Message string }
	if err := json.Unmarshal(body, &got); err != nil || status != wantStatus || got.Message != want {
		t.Errorf("%s: got %d %s\nwant %d %s", what, status, body, wantStatus, want)
	}
}

type noStores struct{}

func (noStores) CreateVolume(context.Context, string) error         { return nil }
func (noStores) RemoveVolume(context.Context, string) error         { return nil }
func (noStores) UsageVolume(context.Context, string) (int64, error) { return 12, nil }
func (noStores) Stores(context.Context) (uppers, volumes []string, err error) {
	return nil, nil, nil
}

func volumeServer(t *testing.T) *servertest.Server {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return servertest.New(t, VolumeRoutes(volumes.New(db, noStores{}, &event.Bus{}, func() string { return "/v" })))
}

func TestVolumeRoutes(t *testing.T) {
	s := volumeServer(t)
	status, body := ask(t, s, "POST", "/v1.51/volumes/create", `{"Name":"data","Labels":{"a":"b"},"DriverOpts":{}}`)
	if status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	speccheck.Answer(t, "POST", "/volumes/create", status, body)
	status, body = ask(t, s, "GET", "/v1.51/volumes/data", "")
	if status != 200 || !strings.Contains(string(body), `"Labels":{"a":"b"}`) || !strings.Contains(string(body), `"Options":{}`) {
		t.Errorf("inspect: %d %s", status, body)
	}
	speccheck.Answer(t, "GET", "/volumes/{name}", status, body)
	for range 2 {
		if status, body = ask(t, s, "POST", "/v1.51/volumes/create", ""); status != 201 {
			t.Errorf("anonymous: %d %s", status, body)
		}
	}
	status, body = ask(t, s, "GET", "/v1.51/volumes?filters="+url.QueryEscape(`{"label":["a=b"]}`), "")
	var list volume.ListResponse
	if err := json.Unmarshal(body, &list); err != nil || status != 200 || len(list.Volumes) != 1 || list.Volumes[0].Name != "data" {
		t.Errorf("list: %d %s", status, body)
	}
	speccheck.Answer(t, "GET", "/volumes", status, body)
	if status, body = ask(t, s, "GET", "/v1.51/volumes?filters="+url.QueryEscape(`{"name":["nothing"]}`), ""); !strings.HasPrefix(string(body), `{"Volumes":[]`) {
		t.Errorf("empty list: %d %s", status, body)
	}
	status, body = ask(t, s, "POST", "/v1.42/volumes/prune", "")
	var report volume.PruneReport
	if err := json.Unmarshal(body, &report); err != nil || status != 200 || len(report.VolumesDeleted) != 2 || report.SpaceReclaimed != 24 {
		t.Errorf("prune: %d %s", status, body)
	}
	speccheck.Answer(t, "POST", "/volumes/prune", status, body)
	status, body = ask(t, s, "POST", "/v1.41/volumes/prune", "")
	if err := json.Unmarshal(body, &report); err != nil || status != 200 || len(report.VolumesDeleted) != 1 {
		t.Errorf("old prune: %d %s", status, body)
	}
	if status, body = ask(t, s, "DELETE", "/v1.51/volumes/data?force=1", ""); status != 204 || len(body) != 0 {
		t.Errorf("forced removal: %d %s", status, body)
	}
}

func TestVolumeRefusals(t *testing.T) {
	s := volumeServer(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1.51/volumes/none", "", 404, "get none: no such volume"},
		{"DELETE", "/v1.51/volumes/none", "", 404, "get none: no such volume"},
		{"GET", "/v1.51/volumes?filters=x", "", 400, "error reading volume filters: invalid filter"},
		{"GET", "/v1.51/volumes?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", "", 400, "invalid filter 'x'"},
		{"POST", "/v1.51/volumes/prune?filters=x", "", 400, "invalid filter"},
		{"POST", "/v1.51/volumes/create", `{"Name":"x"}`, 400, "create x: volume name is too short, names should be at least two alphanumeric characters"},
		{"POST", "/v1.51/volumes/create", `{"Name":"xx","Driver":"foo"}`, 404, `create xx: error looking up volume plugin foo: plugin "foo" not found`},
		{"POST", "/v1.51/volumes/create", `{"ClusterVolumeSpec":{}}`, 503, `This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`},
		{"PUT", "/v1.51/volumes/data?version=1", `{}`, 503, "volume update only valid for cluster volumes, but swarm is unavailable"},
	} {
		status, body := ask(t, s, c.method, c.path, c.body)
		wantMessage(t, c.method+" "+c.path+" "+c.body, status, body, c.status, c.want)
	}
}
