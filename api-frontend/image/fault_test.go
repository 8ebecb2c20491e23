package image_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/registry"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
)

func files(t *testing.T, e *engine, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(e.dir, "images", dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCutPullResumes(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges=%v", ranges), func(t *testing.T) {
			reg := imagetest.NewRegistry(t)
			name := reg.Push("cut:v1", imagetest.Image(t, imagetest.RandomLayer(t, 1, 3<<20), imagetest.RandomLayer(t, 2, 2<<20)))
			reg.Inject(imagetest.CutBlobs(3, 1<<20, ranges))
			e := newEngine(t)
			e.mustPull(name)
			if got := files(t, e, "partial"); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
			if got := files(t, e, "temp"); len(got) != 0 {
				t.Errorf("left: %v", got)
			}
		})
	}
}

func TestPullContinuesAfterRestart(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	name := reg.Push("cut:v1", imagetest.Image(t, imagetest.RandomLayer(t, 1, 3<<20)))
	reg.Inject(imagetest.CutBlobs(100, 2<<20, false))
	e := newEngine(t)
	if _, err := e.pull(t.Context(), name); err == nil {
		t.Fatal("a pull of which every download is cut succeeded")
	}
	parts := files(t, e, "partial")
	if len(parts) != 1 || len(files(t, e, "blobs/sha256")) != 0 || len(files(t, e, "disks")) != 0 || len(files(t, e, "temp")) != 0 {
		t.Fatalf("half-made: %v %v %v", parts, files(t, e, "blobs/sha256"), files(t, e, "disks"))
	}
	if list, err := e.List(t.Context(), image.ListOptions{All: true}); err != nil || len(list) != 0 {
		t.Fatalf("half-made image: %v, %v", list, err)
	}
	reg.Heal()
	var mu sync.Mutex
	var asked []string
	reg.Inject(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		if v := r.Header.Get("Range"); v != "" {
			asked = append(asked, v)
		}
		return false
	})
	e.restart()
	e.mustPull(name)
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 || asked[0] == "bytes=0-" {
		t.Errorf("ranges asked for: %v", asked)
	}
}

func (e *engine) restart() {
	e.tb.Helper()
	if err := errors.Join(e.Close(), e.db.Close()); err != nil {
		e.tb.Fatal(err)
	}
	e.open()
}

func TestTornPartialIsRead(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	layer := imagetest.RandomLayer(t, 1, 1<<20)
	name := reg.Push("torn:v1", imagetest.Image(t, layer))
	d, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	if err := os.WriteFile(filepath.Join(e.dir, "images", "partial", d.Hex), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	e.mustPull(name) // The zeroes of a crash are found out and the download begins anew.
}

func TestCrashLeftovers(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	name := reg.Push("x:v1", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(name)
	junk := strings.Repeat("ab", 32)
	for _, f := range []string{"temp/123", "blobs/sha256/" + junk, "disks/" + junk + ".ext4"} {
		if err := os.WriteFile(filepath.Join(e.dir, "images", f), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.restart()
	for _, f := range []string{"temp/123", "blobs/sha256/" + junk, "disks/" + junk + ".ext4"} {
		if _, err := os.Stat(filepath.Join(e.dir, "images", f)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", f, err)
		}
	}
	img, err := e.Resolve(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range e.DiskPaths(img) {
		if _, err := os.Stat(p); err != nil {
			t.Error(err)
		}
	}
}

func TestWrongDigest(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	name := reg.Push("bad:v1", imagetest.Image(t, imagetest.RandomLayer(t, 1, 1<<20)))
	reg.Inject(imagetest.Corrupt(1 << 19))
	e := newEngine(t)
	if _, err := e.pull(t.Context(), name); err == nil {
		t.Fatal("a corrupt layer was accepted")
	}
	if got := append(files(t, e, "blobs/sha256"), files(t, e, "disks")...); len(got) != 0 {
		t.Fatalf("kept: %v", got)
	}
	reg.Heal()
	e.mustPull(name)
}

func TestConcurrentPullsShareOneDownload(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	base := imagetest.Image(t, imagetest.RandomLayer(t, 1, 1<<20))
	layers, err := base.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for i := range 6 {
		refs = append(refs, reg.Push(fmt.Sprintf("shared%d:v1", i), imagetest.Label(t, base, "n", fmt.Sprint(i))))
	}
	release := make(chan struct{})
	reg.Inject(imagetest.HoldBlobs(release, 1<<19))
	e := newEngine(t)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancelCause(t.Context())
	for i, ref := range refs {
		wg.Go(func() {
			c := t.Context()
			if i == 0 {
				c = ctx // The first leaves: the others' download goes on.
			}
			if _, err := e.pull(c, ref); err != nil && i != 0 {
				t.Errorf("pull %s: %v", ref, err)
			}
		})
	}
	waitFor(t, func() bool { return reg.Requests("blobs/"+d.String()) > 0 })
	cancel(nil)
	close(release)
	wg.Wait()
	gets := 0
	for i := range 6 {
		gets += reg.Requests(fmt.Sprintf("GET /v2/shared%d/blobs/%s", i, d))
	}
	if gets != 1 {
		t.Errorf("%d downloads of one layer", gets)
	}
}

func TestLastWaiterCancels(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	name := reg.Push("slow:v1", imagetest.Image(t, imagetest.RandomLayer(t, 1, 1<<20)))
	left := make(chan struct{})
	reg.Inject(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !strings.Contains(r.URL.Path, "/blobs/sha256:") || r.Method != http.MethodGet {
			return false
		}
		if r.URL.Query().Has("config") {
			return false
		}
		<-r.Context().Done()
		close(left)
		return true
	})
	e := newEngine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := e.pull(ctx, name); err == nil {
		t.Fatal("pull succeeded")
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the download goes on with nobody waiting")
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("waited too long")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAmbiguousManifestRefused(t *testing.T) { // CVE-2021-41190.
	const oci = "application/vnd.oci.image.manifest.v1+json"
	const index = "application/vnd.oci.image.index.v1+json"
	reg := imagetest.NewRegistry(t)
	e := newEngine(t)
	for i, c := range []struct{ media, body string }{
		{oci, `{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`},
		{index, `{"schemaVersion":2,"manifests":[],"layers":[]}`},
		{index, `{"schemaVersion":2,"manifests":[],"config":{}}`},
		{oci, `{"schemaVersion":2,"mediaType":"` + index + `","layers":[]}`},
		{"application/x-other", `{"schemaVersion":2,"mediaType":"application/x-other"}`},
	} {
		reg.Inject(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if !strings.HasSuffix(r.URL.Path, fmt.Sprintf("/manifests/v%d", i)) {
				return false
			}
			w.Header().Set("Content-Type", c.media)
			_, _ = w.Write([]byte(c.body)) // A client that left is no concern of the registry.
			return true
		})
		if _, err := e.pull(t.Context(), fmt.Sprintf("%s/amb:v%d", reg.Host(), i)); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s %s: %v", c.media, c.body, err)
		}
	}
}

func TestCredentialsStayWithTheirHost(t *testing.T) { // CVE-2020-15157.
	img := imagetest.Image(t, imagetest.RandomLayer(t, 1, 4096))
	reg, other := imagetest.NewRegistry(t), imagetest.NewRegistry(t)
	name := reg.Push("secret:v1", img)
	other.Push("secret:v1", img)
	var mu sync.Mutex
	var leaked []string
	other.Inject(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		if v := r.Header.Get("Authorization"); v != "" {
			leaked = append(leaked, v)
		}
		return false
	})
	reg.Inject(imagetest.RequireBasic("user", "password"))
	reg.Inject(imagetest.RedirectBlobs(other.URL()))
	e := newEngine(t)
	if _, err := e.pull(t.Context(), name); !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "pull access denied for "+reg.Host()+"/secret, repository does not exist or may require 'docker login'") {
		t.Errorf("without credentials: %v", err)
	}
	e.mustPull(name, func(o *image.PullOptions) {
		o.Auth = registry.AuthConfig{Username: "user", Password: "password"}
	})
	mu.Lock()
	defer mu.Unlock()
	if len(leaked) != 0 {
		t.Errorf("credentials went to another host: %v", leaked)
	}
}

func TestUnreachableRegistry(t *testing.T) {
	e := newEngine(t)
	for _, name := range []string{"127.0.0.1:1/x:v1", "no-such-host.invalid/x:v1", "192.0.2.1:5000/x:v1"} {
		start := time.Now()
		_, err := e.pull(t.Context(), name)
		if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "is unreachable: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: told after %v", name, took)
		}
	}
}
