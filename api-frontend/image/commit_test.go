package image_test

import (
	"bytes"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/change"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
)

// TestCommit: a layer on an image is an image, which stands on its parent and can leave the machine.
func TestCommit(t *testing.T) {
	name := imagetest.NewRegistry(t).Push("app:v1", imagetest.Deep(t, 3))
	e := newEngine(t)
	e.mustPull(name)
	parent, err := e.Resolve(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := reference.ParseNormalizedNamed("new:v1")
	if err != nil {
		t.Fatal(err)
	}
	var cfg change.Config
	cfg.Cmd = []string{"x"}
	opt := image.CommitOptions{Parent: parent.ID, Ref: ref, Author: "me", Comment: "why", Config: cfg, CreatedBy: "sh"}
	layer := imagetest.Tar(t, imagetest.File{Name: "added", Body: "data"})
	id, err := e.Commit(t.Context(), opt, bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	img, err := e.Resolve(t.Context(), "new:v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	last := img.History[len(img.History)-1]
	if img.ID != id || img.Parent != parent.ID || len(img.Layers) != 4 || len(img.Config.Cmd) != 1 || last.CreatedBy != "sh" || last.EmptyLayer || img.Size <= parent.Size {
		t.Errorf("%+v", img)
	}
	fresh := newEngine(t)
	if _, err := fresh.load(e.save("new:v1"), image.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := fresh.Resolve(t.Context(), "new:v1", nil); err != nil || got.ID != id {
		t.Errorf("loaded elsewhere: %+v, %v", got, err)
	}
	// What changed nothing has no layer of its own.
	opt.Ref = nil
	if id, err = e.Commit(t.Context(), opt, bytes.NewReader(make([]byte, 1024))); err != nil {
		t.Fatal(err)
	}
	if img, err = e.Resolve(t.Context(), id, nil); err != nil || len(img.Layers) != 3 || !img.History[len(img.History)-1].EmptyLayer {
		t.Errorf("%+v, %v", img, err)
	}
	opt.Parent = "sha256:" + string(bytes.Repeat([]byte("0"), 64))
	if _, err = e.Commit(t.Context(), opt, bytes.NewReader(layer)); !errdefs.IsNotFound(err) {
		t.Errorf("on an image that is gone: %v", err)
	}
	opt.Parent = parent.ID
	if _, err = e.Commit(t.Context(), opt, bytes.NewReader(layer[:514])); err == nil {
		t.Error("a layer that stops short was taken")
	}
}
