package image_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/imagetest"
)

// BenchmarkPull100MB pulls and unpacks 100 MB from a registry in the same process (whose work counts, too).
func BenchmarkPull100MB(b *testing.B) {
	for _, c := range []struct {
		name   string
		layers int
		random bool
	}{{"random/1", 1, true}, {"random/4", 4, true}, {"text/1", 1, false}, {"text/4", 4, false}} {
		b.Run(c.name, func(b *testing.B) {
			reg := imagetest.NewRegistry(b)
			layers := make([]v1.Layer, c.layers)
			for i := range layers {
				var files []imagetest.File
				for f := range 25 {
					size := 100 << 20 / c.layers / 25
					body := imagetest.Random(uint64(i*100+f), size)
					if !c.random {
						body = text(uint64(i*100+f), size)
					}
					files = append(files, imagetest.File{Name: fmt.Sprintf("f%d-%d", i, f), Body: string(body)})
				}
				layers[i] = imagetest.Layer(b, files...)
			}
			name := reg.Push("big:v1", imagetest.Image(b, layers...))
			b.SetBytes(100 << 20)
			for b.Loop() {
				b.StopTimer()
				e := newEngine(b)
				b.StartTimer()
				e.mustPull(name)
				b.StopTimer()
				if _, err := e.Remove(b.Context(), name, image.RemoveOptions{}); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// text makes bytes that compress to about a third.
func text(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Test data.
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%x ", r.Uint32())
	}
	out := make([]byte, 0, size+16)
	for len(out) < size {
		out = append(out, words[r.IntN(len(words))]...)
	}
	return out[:size]
}
