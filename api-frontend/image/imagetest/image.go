package imagetest

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Platform is what images of this package are for, unless told otherwise.
var Platform = v1.Platform{OS: "linux", Architecture: "amd64"}

// Image makes a Docker schema 2 image of layers, with a command, an environment and labels.
func Image(tb testing.TB, layers ...v1.Layer) v1.Image {
	tb.Helper()
	return ImageFor(tb, Platform, layers...)
}

// ImageFor makes an image for a platform.
func ImageFor(tb testing.TB, p v1.Platform, layers ...v1.Layer) v1.Image {
	tb.Helper()
	img := mutate.MediaType(empty.Image, types.DockerManifestSchema2)
	adds := make([]mutate.Addendum, 0, len(layers))
	for i, l := range layers {
		adds = append(adds, mutate.Addendum{
			Layer: l,
			History: v1.History{
				Created: v1.Time{Time: time.Unix(1700000000+int64(i), 0).UTC()}, CreatedBy: fmt.Sprintf("/bin/sh -c #(nop) ADD layer %d", i),
			},
		})
	}
	img, err := mutate.Append(img, adds...)
	must(tb, err)
	cfg, err := img.ConfigFile()
	must(tb, err)
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Variant = p.OS, p.Architecture, p.Variant
	cfg.Created = v1.Time{Time: time.Unix(1700000000, 0).UTC()}
	cfg.Config.Cmd = []string{"/bin/sh"}
	cfg.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cfg.Config.Labels = map[string]string{"made.by": "imagetest"}
	img, err = mutate.ConfigFile(img, cfg)
	must(tb, err)
	return img
}

// Label returns the image with one more label, which gives it another ID.
func Label(tb testing.TB, img v1.Image, key, value string) v1.Image {
	tb.Helper()
	cfg, err := img.ConfigFile()
	must(tb, err)
	cfg = cfg.DeepCopy()
	cfg.Config.Labels[key] = value
	img, err = mutate.ConfigFile(img, cfg)
	must(tb, err)
	return img
}

// Small is an image with a file, a folder, a symbolic link and a hard link.
func Small(tb testing.TB) v1.Image {
	tb.Helper()
	return Image(tb, Layer(tb,
		File{Name: "bin/"}, File{Name: "bin/sh", Body: "#!\n", Mode: 0o755},
		File{Name: "bin/ash", Type: '1', Link: "bin/sh"}, File{Name: "sh", Type: '2', Link: "bin/sh"},
	))
}

// Deep is an image of n layers, each with a file of its own and one whiteout of the file below.
func Deep(tb testing.TB, n int) v1.Image {
	tb.Helper()
	layers := make([]v1.Layer, n)
	for i := range layers {
		files := []File{{Name: fmt.Sprintf("layer-%d", i), Body: fmt.Sprint(i)}}
		if i > 0 {
			files = append(files, File{Name: fmt.Sprintf(".wh.layer-%d", i-1)})
		}
		layers[i] = Layer(tb, files...)
	}
	return Image(tb, layers...)
}

// Index makes a multi-platform index out of images.
func Index(tb testing.TB, images map[string]v1.Image) v1.ImageIndex {
	tb.Helper()
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for name, img := range images {
		p, err := v1.ParsePlatform(name)
		must(tb, err)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
	}
	return idx
}
