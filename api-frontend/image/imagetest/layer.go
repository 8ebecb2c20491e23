package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// File is one entry of a layer. The zero Type is a regular file, or a folder when Name ends with "/".
type File struct {
	Name   string
	Type   byte
	Body   string
	Link   string
	Mode   int64
	UID    int
	GID    int
	Xattrs map[string]string
}

// Tar makes a plain layer stream.
func Tar(tb testing.TB, files ...File) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{
			Name: f.Name, Typeflag: f.Type, Linkname: f.Link, Mode: f.Mode, Uid: f.UID, Gid: f.GID,
			Size: int64(len(f.Body)), ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX,
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if f.Name != "" && f.Name[len(f.Name)-1] == '/' {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		for k, v := range f.Xattrs {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
		must(tb, w.WriteHeader(h))
		_, err := io.WriteString(w, f.Body)
		must(tb, err)
	}
	must(tb, w.Close())
	return b.Bytes()
}

// Gzip compresses.
func Gzip(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(tb, err)
	must(tb, w.Close())
	return out.Bytes()
}

// Zstd compresses.
func Zstd(tb testing.TB, b []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	must(tb, err)
	defer func() { must(tb, w.Close()) }()
	return w.EncodeAll(b, nil)
}

// Layer makes a gzip layer of files.
func Layer(tb testing.TB, files ...File) v1.Layer {
	tb.Helper()
	return LayerOf(tb, Tar(tb, files...))
}

// LayerOf makes a gzip layer of a tar stream.
func LayerOf(tb testing.TB, plain []byte) v1.Layer {
	tb.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(plain)), nil
	}, tarball.WithCompressedCaching)
	must(tb, err)
	return l
}

// RandomLayer makes a layer of one file that does not compress.
func RandomLayer(tb testing.TB, seed uint64, size int) v1.Layer {
	tb.Helper()
	return Layer(tb, File{Name: "random", Body: string(Random(seed, size))})
}

// Random makes bytes that depend on the seed alone.
func Random(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b) // Never fails.
	return b
}

// Static is a layer of exactly these bytes, whatever they are.
func Static(b []byte, media types.MediaType) v1.Layer { return static.NewLayer(b, media) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
