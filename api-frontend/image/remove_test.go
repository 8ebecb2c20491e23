package image_test

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	imageregistry "github.com/arca-engine/arca/api-frontend/image/registry"
)

func (e *engine) tag(source, target string) {
	e.tb.Helper()
	ref, err := reference.ParseNormalizedNamed(target)
	if err != nil {
		e.tb.Fatal(err)
	}
	if err := e.Tag(e.tb.Context(), source, ref); err != nil {
		e.tb.Fatal(err)
	}
}

func TestRemoveRules(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	name := reg.Push("app:v1", imagetest.Small(t))
	const ctr = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		what    string
		prepare func(e *engine, id string)
		ref     func(id string) string
		force   bool
		err     string // With IMG and CTR for the short IDs.
		rows    int
		left    int
	}{
		{"by name", nil, nil, false, "", 4, 0},
		{"by ID", nil, func(id string) string { return id[7:19] }, false, "", 4, 0},
		{"name of two", func(e *engine, _ string) { e.tag(name, "other:v1") }, nil, false, "", 2, 1},
		{"ID of two", func(e *engine, _ string) { e.tag(name, "other:v1") }, func(id string) string { return id }, false, "conflict: unable to delete IMG (must be forced) - image is referenced in multiple repositories", 0, 1},
		{"ID of two, forced", func(e *engine, _ string) { e.tag(name, "other:v1") }, func(id string) string { return id }, true, "", 5, 0},
		{"name in use", func(e *engine, id string) { e.users = []image.User{{ID: ctr, ImageID: id}} }, nil, false, "conflict: unable to remove repository reference \"" + name + "\" (must force) - container CTR is using its referenced image IMG", 0, 1},
		{"name in use, forced", func(e *engine, id string) { e.users = []image.User{{ID: ctr, ImageID: id}} }, nil, true, "", 4, 0},
		{"name of running, forced", func(e *engine, id string) { e.users = []image.User{{ID: ctr, ImageID: id, Running: true}} }, nil, true, "", 2, 1},
		{"ID of stopped", func(e *engine, id string) { e.users = []image.User{{ID: ctr, ImageID: id}} }, func(id string) string { return id }, false, "conflict: unable to delete IMG (must be forced) - image is being used by stopped container CTR", 0, 1},
		{"ID of running, forced", func(e *engine, id string) { e.users = []image.User{{ID: ctr, ImageID: id, Running: true}} }, func(id string) string { return id }, true, "conflict: unable to delete IMG (cannot be forced) - image is being used by running container CTR", 0, 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newEngine(t)
			e.mustPull(name)
			img, err := e.Resolve(t.Context(), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.prepare != nil {
				c.prepare(e, img.ID)
			}
			ref := name
			if c.ref != nil {
				ref = c.ref(img.ID)
			}
			rows, err := e.Remove(t.Context(), ref, image.RemoveOptions{Force: c.force})
			want := strings.NewReplacer("IMG", img.ID[7:19], "CTR", ctr[:12]).Replace(c.err)
			if (err == nil) != (want == "") || err != nil && (err.Error() != want || !errdefs.IsConflict(err)) {
				t.Fatalf("error %v; want %q", err, want)
			}
			if len(rows) != c.rows {
				t.Errorf("rows %+v; want %d", rows, c.rows)
			}
			list, err := e.List(t.Context(), image.ListOptions{All: true})
			if err != nil || len(list) != c.left {
				t.Errorf("%d images are left, %v; want %d", len(list), err, c.left)
			}
			if disks := files(t, e, "disks"); len(disks) != c.left {
				t.Errorf("disks %v", disks)
			}
		})
	}
}

func TestRemoveKeepsSharedLayers(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	base := imagetest.RandomLayer(t, 1, 4096)
	a := reg.Push("a:v1", imagetest.Image(t, base, imagetest.RandomLayer(t, 2, 4096)))
	b := reg.Push("b:v1", imagetest.Image(t, base, imagetest.RandomLayer(t, 3, 4096)))
	e := newEngine(t)
	e.mustPull(a)
	e.mustPull(b)
	list, err := e.List(t.Context(), image.ListOptions{SharedSize: true})
	if err != nil || len(list) != 2 || list[0].SharedSize != 4096 || list[0].Size != 8192 {
		t.Fatalf("%+v, %v", list, err)
	}
	rows, err := e.Remove(t.Context(), a, image.RemoveOptions{})
	if err != nil || len(rows) != 4 { // Two names, the image, its own layer.
		t.Fatalf("%+v, %v", rows, err)
	}
	if got := len(files(t, e, "disks")); got != 2 {
		t.Errorf("%d disks", got)
	}
	e.save(b)
	rep, err := e.Prune(t.Context(), filter.Of("dangling", "false"))
	if err != nil || rep.SpaceReclaimed != 8192 || len(files(t, e, "disks")) != 0 || len(files(t, e, "blobs/sha256")) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestPlatforms(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	byPlatform := map[string]v1.Image{}
	for i, p := range []string{"linux/amd64", "linux/arm64", "linux/arm/v7"} {
		parsed, err := v1.ParsePlatform(p)
		if err != nil {
			t.Fatal(err)
		}
		byPlatform[p] = imagetest.ImageFor(t, *parsed, imagetest.RandomLayer(t, uint64(i), 512))
	}
	name := reg.PushIndex("multi:v1", imagetest.Index(t, byPlatform))
	for want, p := range map[string]*ocispec.Platform{
		"linux/amd64": nil, "linux/arm64": {OS: "linux", Architecture: "arm64", Variant: "v8"}, "linux/arm/v7": {OS: "linux", Architecture: "arm", Variant: "v7"},
	} {
		e := newEngine(t)
		e.mustPull(name, func(o *image.PullOptions) { o.Platform = p })
		id, err := byPlatform[want].ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if img, err := e.Resolve(t.Context(), name, nil); err != nil || img.ID != id.String() {
			t.Errorf("%s: %+v, %v", want, img, err)
		}
	}
	e := newEngine(t)
	_, err := e.pull(t.Context(), name, func(o *image.PullOptions) {
		o.Platform = &ocispec.Platform{OS: "linux", Architecture: "s390x"}
	})
	if !errdefs.IsNotFound(err) || err.Error() != "no matching manifest for linux/s390x in the manifest list entries" {
		t.Errorf("%v", err)
	}
	lone := reg.Push("lone:v1", byPlatform["linux/amd64"])
	_, err = e.pull(t.Context(), lone, func(o *image.PullOptions) {
		o.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	})
	if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "was found but does not provide the specified platform (linux/arm64/v8)") {
		t.Errorf("%v", err)
	}
}

func TestMirrorsAndAllTags(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	reg.Push("library/busybox:latest", imagetest.Small(t))
	reg.Push("library/busybox:old", imagetest.Deep(t, 2))
	e := &engine{tb: t, dir: t.TempDir()}
	e.open(func(o *image.Options) {
		o.Registry = imageregistry.Config{Mirrors: []string{"http://127.0.0.1:1", reg.URL()}}
	})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := e.db.Close(); err != nil {
			t.Error(err)
		}
	})
	out := e.mustPull("busybox:latest")
	if !said(out, "Pulling from library/busybox") || !said(out, "Status: Downloaded newer image for busybox:latest") {
		t.Errorf("%+v", out)
	}
	e.mustPull("busybox", func(o *image.PullOptions) { o.All = true })
	list, err := e.List(t.Context(), image.ListOptions{Filters: filter.Of("reference", "busybox:o*")})
	if err != nil || len(list) != 1 || list[0].RepoTags[0] != "busybox:old" {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := e.Resolve(t.Context(), "docker.io/library/busybox", nil); err != nil || got.RepoTags[0] != "busybox:latest" {
		t.Errorf("%+v, %v", got, err)
	}
}
