package image

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	"github.com/arca-engine/arca/api-frontend/store"
)

// FuzzLoad reads archives up to the point where layers would be unpacked, which layerdisk fuzzes itself.
func FuzzLoad(f *testing.F) {
	dir := f.TempDir()
	db, err := store.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		f.Fatal(err)
	}
	s, err := New(Options{Dir: filepath.Join(dir, "images"), Store: db})
	if err != nil {
		f.Fatal(err)
	}
	const config = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}`
	f.Add(imagetest.Tar(f, imagetest.File{Name: "manifest.json", Body: `[{"Config":"a","Layers":["b"],"RepoTags":["x:y"]}]`}, imagetest.File{Name: "a", Body: config}, imagetest.File{Name: "c"}, imagetest.File{Name: "b", Type: '1', Link: "c"}))
	f.Add(imagetest.Tar(f, imagetest.File{Name: "index.json", Body: `{"schemaVersion":2,"manifests":[{"digest":"sha256:00"}]}`}))
	f.Add(imagetest.Gzip(f, imagetest.Tar(f, imagetest.File{Name: "manifest.json", Body: "[]"}, imagetest.File{Name: "s", Type: '2', Link: "../s"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		sp, err := s.readArchive(t.Context(), bytes.NewReader(b))
		if err != nil {
			return
		}
		_, _ = sp.images(s, LoadOptions{}) // Any error is right; a crash is not.
		if err := sp.close(); err != nil {
			t.Error(err)
		}
	})
}
