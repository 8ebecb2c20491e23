package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/store"
)

// engine is a Service under test.
type engine struct {
	*image.Service
	tb  testing.TB
	dir string
	db  *store.Store

	mu     sync.Mutex
	events []events.Message
	users  []image.User
}

func (e *engine) Publish(m events.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, m)
}

func (e *engine) ImageUsers() []image.User {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.users
}

func newEngine(tb testing.TB, change ...func(*image.Options)) *engine {
	tb.Helper()
	e := &engine{tb: tb, dir: tb.TempDir()}
	e.open(change...)
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
		if err := e.db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func (e *engine) open(change ...func(*image.Options)) {
	e.tb.Helper()
	db, err := store.Open(filepath.Join(e.dir, "state.db"))
	if err != nil {
		e.tb.Fatal(err)
	}
	opt := image.Options{
		Dir: filepath.Join(e.dir, "images"), Store: db, Publisher: e, Users: e, RetryUnit: time.Millisecond,
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	for _, c := range change {
		c(&opt)
	}
	s, err := image.New(opt)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.db, e.Service = db, s
}

// pull pulls and returns the lines that a client saw.
func (e *engine) pull(ctx context.Context, ref string, change ...func(*image.PullOptions)) ([]progress.Line, error) {
	e.tb.Helper()
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		e.tb.Fatal(err)
	}
	opt := image.PullOptions{Ref: named}
	for _, c := range change {
		c(&opt)
	}
	var out bytes.Buffer
	p := progress.New(&out, nil)
	err = e.Pull(ctx, opt, p)
	if cerr := p.Close(); cerr != nil {
		e.tb.Fatal(cerr)
	}
	return lines(e.tb, out.String()), err
}

func (e *engine) mustPull(ref string, change ...func(*image.PullOptions)) []progress.Line {
	e.tb.Helper()
	l, err := e.pull(e.tb.Context(), ref, change...)
	if err != nil {
		e.tb.Fatalf("pull %s: %v", ref, err)
	}
	return l
}

func lines(tb testing.TB, text string) []progress.Line {
	tb.Helper()
	var all []progress.Line
	for _, raw := range strings.Split(strings.TrimSpace(text), "\r\n") {
		if raw == "" {
			continue
		}
		var l progress.Line
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			tb.Fatalf("line %q: %v", raw, err)
		}
		all = append(all, l)
	}
	return all
}

func said(all []progress.Line, status string) bool {
	for _, l := range all {
		if strings.Contains(l.Status, status) {
			return true
		}
	}
	return false
}

func TestPullListResolve(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	src := imagetest.Small(t)
	name := reg.Push("team/deep/small:v1", src)
	e := newEngine(t)
	out := e.mustPull(name)
	for _, want := range []string{"Pulling from team/deep/small", "Pulling fs layer", "Download complete", "Pull complete", "Digest: sha256:", "Status: Downloaded newer image for " + name} {
		if !said(out, want) {
			t.Errorf("pull did not say %q: %+v", want, out)
		}
	}
	img, err := e.Resolve(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := src.ConfigName()
	if err != nil || img.ID != id.String() || len(img.Layers) != 1 || img.Size != 3 || img.Config.Cmd[0] != "/bin/sh" {
		t.Fatalf("resolved %+v; want ID %v, %v", img, id, err)
	}
	list, err := e.List(t.Context(), image.ListOptions{})
	if err != nil || len(list) != 1 || list[0].RepoTags[0] != name || len(list[0].RepoDigests) != 1 {
		t.Fatalf("list %+v, %v", list, err)
	}
	if out := e.mustPull(name); !said(out, "Image is up to date for "+name) || said(out, "Pull complete") {
		t.Errorf("second pull: %+v", out)
	}
	for _, ref := range []string{img.ID, img.ID[7:], img.ID[7:19], list[0].RepoDigests[0]} {
		if got, err := e.Resolve(t.Context(), ref, nil); err != nil || got.ID != img.ID {
			t.Errorf("resolve %s: %v", ref, err)
		}
	}
	if _, err := e.Resolve(t.Context(), "absent", nil); err == nil || err.Error() != "No such image: absent:latest" {
		t.Errorf("absent: %v", err)
	}
}
