package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	"github.com/arca-engine/arca/api-frontend/image/progress"
)

func (e *engine) save(refs ...string) []byte {
	e.tb.Helper()
	a, err := e.Save(e.tb.Context(), refs, nil)
	if err != nil {
		e.tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.Write(e.tb.Context(), &b); err != nil {
		e.tb.Fatal(err)
	}
	return b.Bytes()
}

func (e *engine) load(b []byte, opt image.LoadOptions) ([]progress.Line, error) {
	e.tb.Helper()
	var out bytes.Buffer
	p := progress.New(&out, nil)
	err := e.Load(e.tb.Context(), bytes.NewReader(b), opt, p)
	if cerr := p.Close(); cerr != nil {
		e.tb.Fatal(cerr)
	}
	return lines(e.tb, out.String()), err
}

func text1(all []progress.Line) string {
	var b strings.Builder
	for _, l := range all {
		b.WriteString(l.Stream)
	}
	return b.String()
}

func TestSaveAndLoad(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	a := reg.Push("team/a:v1", imagetest.Deep(t, 3))
	b := reg.Push("b:v2", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(a)
	e.mustPull(b)
	want, err := e.Resolve(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	archive := e.save(a, b, a)
	for form, raw := range map[string][]byte{"plain": archive, "gzip": imagetest.Gzip(t, archive), "zstd": imagetest.Zstd(t, archive)} {
		t.Run(form, func(t *testing.T) {
			fresh := newEngine(t)
			out, err := fresh.load(raw, image.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := text1(out); !strings.Contains(got, "Loaded image: "+a+"\n") || !strings.Contains(got, "Loaded image: "+b+"\n") {
				t.Errorf("said %q", got)
			}
			img, err := fresh.Resolve(t.Context(), a, nil)
			if err != nil || img.ID != want.ID || img.Manifest.Digest != want.Manifest.Digest || img.Size != want.Size {
				t.Errorf("got %+v, %v", img, err)
			}
			if again := fresh.save(a, b); !bytes.Equal(again, archive) {
				t.Error("a saved image that was loaded is saved differently")
			}
		})
	}
}

func TestLoadDockerArchive(t *testing.T) {
	src := imagetest.Deep(t, 4)
	ref, err := name.NewTag("example.org/x/y:z")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tarball.MultiWrite(map[name.Tag]v1.Image{ref: src}, &b); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	out, err := e.load(b.Bytes(), image.LoadOptions{Quiet: true})
	if err != nil || text1(out) != "Loaded image: example.org/x/y:z\n" {
		t.Fatalf("%v %+v", err, out)
	}
	id, err := src.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if img, err := e.Resolve(t.Context(), "example.org/x/y:z", nil); err != nil || img.ID != id.String() || len(img.Layers) != 4 {
		t.Fatalf("%+v, %v", img, err)
	}
}

// rebuild passes an archive's entries through f: nil leaves one out.
func rebuild(t *testing.T, archive []byte, f func(h *tar.Header, body []byte) []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(archive)), tar.NewWriter(&out)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if body = f(h, body); body == nil {
			continue
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestLoadLayoutAlone(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	ref := reg.Push("lay/out:v1", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(ref)
	archive := rebuild(t, e.save(ref), func(h *tar.Header, body []byte) []byte {
		if h.Name == "manifest.json" || h.Name == "repositories" {
			return nil
		}
		return body
	})
	fresh := newEngine(t)
	if out, err := fresh.load(archive, image.LoadOptions{}); err != nil || !strings.Contains(text1(out), "Loaded image: "+ref) {
		t.Fatalf("%v %+v", err, out)
	}
}

func TestHostileArchives(t *testing.T) {
	reg := imagetest.NewRegistry(t)
	ref := reg.Push("x:v1", imagetest.Small(t))
	e := newEngine(t)
	e.mustPull(ref)
	good := e.save(ref)
	manifest := func(edit func(m []map[string]any)) []byte {
		return rebuild(t, good, func(h *tar.Header, body []byte) []byte {
			if h.Name != "manifest.json" {
				return body
			}
			var m []map[string]any
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatal(err)
			}
			edit(m)
			raw, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		})
	}
	for what, raw := range map[string][]byte{
		"empty":        {},
		"noise":        imagetest.Random(1, 4096),
		"no manifest":  imagetest.Tar(t, imagetest.File{Name: "x", Body: "y"}),
		"null":         imagetest.Tar(t, imagetest.File{Name: "manifest.json", Body: "null"}),
		"outside":      manifest(func(m []map[string]any) { m[0]["Config"] = "../../../../etc/passwd" }),
		"absolute":     manifest(func(m []map[string]any) { m[0]["Layers"] = []string{"/etc/passwd"} }),
		"more layers":  manifest(func(m []map[string]any) { m[0]["Layers"] = []any{m[0]["Layers"].([]any)[0], m[0]["Layers"].([]any)[0]} }),
		"wrong layer":  manifest(func(m []map[string]any) { m[0]["Layers"] = []any{m[0]["Config"]} }),
		"bad tag":      manifest(func(m []map[string]any) { m[0]["RepoTags"] = []string{"UPPER/..:x"} }),
		"link loop":    imagetest.Tar(t, imagetest.File{Name: "manifest.json", Body: `[{"Config":"a"}]`}, imagetest.File{Name: "a", Type: '2', Link: "b"}, imagetest.File{Name: "b", Type: '2', Link: "a"}),
		"link outside": imagetest.Tar(t, imagetest.File{Name: "manifest.json", Body: `[{"Config":"a"}]`}, imagetest.File{Name: "a", Type: '2', Link: "/etc/passwd"}),
		"cut":          good[:len(good)/2],
		"wrong blob": rebuild(t, good, func(h *tar.Header, body []byte) []byte {
			if strings.HasPrefix(h.Name, "blobs/sha256/") && len(body) > 0 {
				body[len(body)-1] ^= 1
			}
			return body
		}),
	} {
		t.Run(what, func(t *testing.T) {
			fresh := newEngine(t)
			if out, err := fresh.load(raw, image.LoadOptions{}); err == nil {
				t.Fatalf("accepted: %+v", out)
			}
			if list, err := fresh.List(t.Context(), image.ListOptions{All: true}); err != nil || len(list) != 0 {
				t.Errorf("left %v, %v", list, err)
			}
			if got := files(t, fresh, "temp"); len(got) != 0 {
				t.Errorf("left %v", got)
			}
		})
	}
}

func FuzzResolve(f *testing.F) {
	e := newEngine(f)
	for _, s := range []string{"x", "a/b/c:d", "sha256:0", "x@sha256:" + strings.Repeat("a", 64), "@", ":", "a:b:c@d", strings.Repeat("a", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := e.Resolve(t.Context(), s, nil); err == nil {
			t.Errorf("%q was found", s)
		}
	})
}
