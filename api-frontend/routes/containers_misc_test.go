package routes

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
)

// fakeMisc is one container, web.
type fakeMisc struct {
	mu      sync.Mutex
	calls   []string
	update  container.UpdateConfig
	samples uint64
	stopped bool
	gone    bool
}

func (f *fakeMisc) note(parts ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, strings.Join(parts, " "))
	if len(parts) > 1 && parts[1] == "none" {
		return errdefs.ErrNotFound.WithMessage("No such container: none")
	}
	return nil
}

func (f *fakeMisc) Top(_ context.Context, ref, args string) (container.TopResponse, error) {
	return container.TopResponse{Titles: []string{"PID"}, Processes: [][]string{{"1"}}}, f.note("top", ref, args)
}
func (f *fakeMisc) Resize(_ context.Context, ref string, _, _ uint32) error {
	return f.note("resize", ref)
}
func (f *fakeMisc) Changes(_ context.Context, ref string) ([]container.FilesystemChange, error) {
	return []container.FilesystemChange{{Kind: container.ChangeAdd, Path: "/x"}}, f.note("changes", ref)
}
func (f *fakeMisc) Update(_ context.Context, ref string, u *container.UpdateConfig, version string) (container.UpdateResponse, error) {
	f.update = *u
	return container.UpdateResponse{Warnings: []string{}}, f.note("update", ref, version)
}
func (f *fakeMisc) Rename(_ context.Context, ref, name string) error {
	return f.note("rename", ref, name)
}
func (f *fakeMisc) Pause(_ context.Context, ref string) error   { return f.note("pause", ref) }
func (f *fakeMisc) Unpause(_ context.Context, ref string) error { return f.note("unpause", ref) }
func (f *fakeMisc) Prune(_ context.Context, fl filter.Filter) (container.PruneReport, error) {
	return container.PruneReport{ContainersDeleted: []string{"c"}, SpaceReclaimed: 1}, f.note("prune", strings.Join(fl.Keys(), ","))
}
func (f *fakeMisc) Stats(_ context.Context, ref string) (container.StatsResponse, bool, error) {
	if err := f.note("stats", ref); err != nil {
		return container.StatsResponse{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := container.StatsResponse{ID: "c1", Name: "/web"}
	if f.gone {
		return s, false, errdefs.ErrNotFound
	}
	if f.stopped {
		return s, false, nil
	}
	f.samples++
	s.Read = time.Unix(int64(f.samples), 0).UTC()
	s.CPUStats.CPUUsage.TotalUsage = f.samples
	return s, true, nil
}

func TestContainerMisc(t *testing.T) {
	f := &fakeMisc{}
	s := servertest.New(t, ContainerMiscRoutes(f))
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
		operation          string
	}{
		{"GET", "/containers/web/top?ps_args=aux", "", 200, "top web aux", "/containers/{id}/top"},
		{"GET", "/containers/web/changes", "", 200, "changes web", "/containers/{id}/changes"},
		{"POST", "/containers/web/pause", "", 204, "pause web", ""},
		{"POST", "/containers/web/unpause", "", 204, "unpause web", ""},
		{"POST", "/containers/web/rename?name=x", "", 204, "rename web x", ""},
		{"POST", "/containers/web/resize?h=1&w=2", "", 200, "resize web", ""},
		{"POST", "/containers/web/update", `{"Memory":7}`, 200, "update web 1.51", "/containers/{id}/update"},
		{"POST", "/containers/prune?filters=%7B%22label%22%3A%5B%22y%22%5D%7D", "", 200, "prune label", "/containers/prune"},
	} {
		f.calls = nil
		status, body := ask(t, s, c.method, "/v1.51"+c.path, c.body)
		if status != c.status || len(f.calls) != 1 || f.calls[0] != c.want {
			t.Errorf("%s: %d %s, calls %q", c.path, status, body, f.calls)
		}
		if c.operation != "" {
			speccheck.Answer(t, c.method, c.operation, status, body)
		}
		if path := strings.Replace(c.path, "web", "none", 1); path != c.path {
			status, body = ask(t, s, c.method, "/v1.51"+path, c.body)
			wantMessage(t, path, status, body, 404, "No such container: none")
		}
	}
	if f.update.Memory != 7 {
		t.Errorf("update %+v", f.update)
	}
	status, body := ask(t, s, "POST", "/v1.41/containers/web/update", `{"KernelMemory":5}`)
	if status != 200 || !strings.Contains(string(body), "Limitation discarded") {
		t.Errorf("kernel memory: %d %s", status, body)
	}
	status, body = ask(t, s, "POST", "/v1.51/containers/web/rename", "")
	wantMessage(t, "rename", status, body, 400, "Neither old nor new names may be empty")
	status, body = ask(t, s, "POST", "/v1.51/containers/web/update", "{")
	if status != 400 {
		t.Errorf("update with half a body: %d %s", status, body)
	}
}

func TestStats(t *testing.T) {
	f := &fakeMisc{}
	s := servertest.New(t, ContainerMiscRoutes(f))
	var got container.StatsResponse
	read := func(what string, body []byte) {
		t.Helper()
		got = container.StatsResponse{}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, body := ask(t, s, "GET", "/v1.51/containers/web/stats?stream=0&one-shot=1", "")
	read("one shot", body)
	speccheck.Definition(t, "ContainerStatsResponse", body)
	if got.CPUStats.CPUUsage.TotalUsage != 1 || got.PreCPUStats.CPUUsage.TotalUsage != 0 || !got.PreRead.IsZero() || got.Name != "/web" {
		t.Errorf("one shot: %+v", got)
	}
	_, body = ask(t, s, "GET", "/v1.51/containers/web/stats?stream=0", "")
	read("two samples", body)
	if got.CPUStats.CPUUsage.TotalUsage != 3 || got.PreCPUStats.CPUUsage.TotalUsage != 2 || got.PreRead.Unix() != 2 {
		t.Errorf("two samples: %+v", got)
	}
	resp := get(t.Context(), t, s, "/v1.51/containers/web/stats")
	lines := bufio.NewScanner(resp.Body)
	for n := uint64(4); n < 6; n++ {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		read("stream", lines.Bytes())
		if got.CPUStats.CPUUsage.TotalUsage != n || (n > 4) != (got.PreCPUStats.CPUUsage.TotalUsage == n-1) {
			t.Errorf("sample %d: %+v", n, got)
		}
	}
	f.mu.Lock()
	f.gone = true
	f.mu.Unlock()
	for lines.Scan() {
		continue // A stream ends with its container.
	}
	f.mu.Lock()
	f.gone, f.stopped = false, true
	f.mu.Unlock()
	_, body = ask(t, s, "GET", "/v1.51/containers/web/stats?stream=0", "")
	read("stopped", body)
	if got.Name != "/web" || got.ID != "c1" || !got.Read.IsZero() {
		t.Errorf("stopped: %+v", got)
	}
	status, body := ask(t, s, "GET", "/v1.51/containers/none/stats", "")
	wantMessage(t, "stats", status, body, 404, "No such container: none")
	status, body = ask(t, s, "GET", "/v1.51/containers/web/stats?one-shot=1", "")
	wantMessage(t, "stats", status, body, 400, "cannot have stream=true and one-shot=true")
}

// TestStatsClientLeaves: the server of this test waits for the handlers at its end, which a stream would keep for ever.
func TestStatsClientLeaves(t *testing.T) {
	s := servertest.New(t, ContainerMiscRoutes(&fakeMisc{}))
	for range 50 {
		ctx, cancel := context.WithCancelCause(t.Context())
		get(ctx, t, s, "/v1.51/containers/web/stats")
		cancel(nil)
	}
}
