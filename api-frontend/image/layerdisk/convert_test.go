package layerdisk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/image/imagetest"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
)

func source(b []byte) layerdisk.Source {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

// disk converts and returns the disk's path.
func disk(t *testing.T, b []byte) (string, layerdisk.Result) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.ext4"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := layerdisk.Convert(t.Context(), source(b), f, layerdisk.DefaultLimits)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name(), res
}

func TestDigestsAndSizes(t *testing.T) {
	plain := imagetest.Tar(t, imagetest.File{Name: "a", Body: "12345"}, imagetest.File{Name: "d/"}, imagetest.File{Name: "d/b", Body: "678"})
	want := digest.NewDigestFromBytes(digest.SHA256, sum(plain))
	for name, b := range map[string][]byte{"plain": plain, "gzip": imagetest.Gzip(t, plain), "zstd": imagetest.Zstd(t, plain)} {
		_, res := disk(t, b)
		if res.DiffID != want || res.Size != 8 || res.TarSize != int64(len(plain)) {
			t.Errorf("%s: %+v; want %s", name, res, want)
		}
	}
}

func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func TestMalformedLayers(t *testing.T) {
	many := make([]imagetest.File, 20)
	for i := range many {
		many[i] = imagetest.File{Name: fmt.Sprintf("f%d", i)}
	}
	for name, c := range map[string]struct {
		b     []byte
		lim   layerdisk.Limits
		class func(error) bool
	}{
		"bomb":         {imagetest.Gzip(t, imagetest.Tar(t, imagetest.File{Name: "zero", Body: strings.Repeat("\x00", 4<<20)})), layerdisk.Limits{Bytes: 1 << 20, Entries: 10}, errdefs.IsResourceExhausted},
		"many":         {imagetest.Tar(t, many...), layerdisk.Limits{Bytes: 64 << 20, Entries: 10}, errdefs.IsResourceExhausted},
		"through file": {imagetest.Tar(t, imagetest.File{Name: "a"}, imagetest.File{Name: "a/b"}), layerdisk.DefaultLimits, errdefs.IsInvalidArgument},
		"link loop":    {imagetest.Tar(t, imagetest.File{Name: "a", Type: '2', Link: "a"}, imagetest.File{Name: "a/b"}), layerdisk.DefaultLimits, errdefs.IsInvalidArgument},
		"cut":          {imagetest.Tar(t, imagetest.File{Name: "a", Body: strings.Repeat("x", 4096)})[:2000], layerdisk.DefaultLimits, errdefs.IsInvalidArgument},
		"noise":        {imagetest.Random(1, 4096), layerdisk.DefaultLimits, errdefs.IsInvalidArgument},
		"huge owner":   {imagetest.Tar(t, imagetest.File{Name: "a", UID: 1 << 33}), layerdisk.DefaultLimits, errdefs.IsInvalidArgument},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = layerdisk.Convert(t.Context(), source(c.b), f, c.lim)
		if !c.class(err) {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(imagetest.Tar(f, imagetest.File{Name: "a/b", Body: "x"}, imagetest.File{Name: "a/.wh.c"}, imagetest.File{Name: "a/.wh..wh..opq"}))
	f.Add(imagetest.Tar(f, imagetest.File{Name: "../../x", Body: "x"}, imagetest.File{Name: "l", Type: '1', Link: "../x"}, imagetest.File{Name: "s", Type: '2', Link: "/.."}, imagetest.File{Name: "s/t"}))
	f.Add(imagetest.Gzip(f, imagetest.Tar(f, imagetest.File{Name: "a", Body: "x", Xattrs: map[string]string{"user.x": "y"}}, imagetest.File{Name: "a", Body: "z"})))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(out.Close(), os.Remove(out.Name())); err != nil {
				t.Error(err)
			}
		}()
		_, _ = layerdisk.Convert(t.Context(), source(b), out, layerdisk.Limits{Bytes: 8 << 20, Entries: 1000}) // Any error is right; a crash is not.
	})
}
