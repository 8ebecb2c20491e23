package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/arca-engine/arca/internal/atomicfile"
	"github.com/arca-engine/arca/internal/debimage"
)

// Options say what to make.
type Options struct {
	Cache   string // where packages and the layer of them are kept: with both, no network is needed.
	Program string // the built arca-network.
	Tag     string // of the image.
	Output  string // an archive for `docker load`.
}

// ErrNoApt tells that this machine has no Debian packages.
var ErrNoApt = errors.New("the helper's image is made of Debian packages, and this machine has no apt-get")

// Make makes the image, unless Output is of the same inputs already.
func Make(ctx context.Context, o Options) error {
	tag, err := name.NewTag(o.Tag)
	if err != nil {
		return fmt.Errorf("make the helper's image: %w", err)
	}
	inputs, err := o.inputs()
	if err != nil {
		return fmt.Errorf("make the helper's image: %w", err)
	}
	if _, err := os.Stat(o.Output); err == nil {
		if have, err := os.ReadFile(o.Output + ".inputs"); err == nil && string(have) == inputs {
			return nil
		}
	}
	if err := o.make(ctx, tag); err != nil {
		return fmt.Errorf("make the helper's image: %w", err)
	}
	return atomicfile.Write(o.Output+".inputs", []byte(inputs), 0o644)
}

// inputs tell one image from another.
func (o Options) inputs() (string, error) {
	f, err := os.Open(o.Program)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %x\n", o.Tag, key(), h.Sum(nil)), nil
}

func (o Options) make(ctx context.Context, tag name.Tag) error {
	cache := filepath.Join(o.Cache, "helper")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	below, err := base(ctx, cache, tmp)
	if err != nil {
		return err
	}
	l, err := debimage.NewLayer(tmp)
	if err != nil {
		return err
	}
	l.CopyFile("usr/bin/arca-network", 0o755, o.Program)
	above, err := l.Finish()
	if err != nil {
		return err
	}
	img, err := assemble(below, above)
	if err != nil {
		return err
	}
	out := filepath.Join(tmp, "image.tar")
	if err := tarball.WriteToFile(out, tag, img); err != nil {
		return err
	}
	return replace(out, o.Output)
}

// base is the layer of packages, from the cache if it is there.
func base(ctx context.Context, cache, tmp string) (v1.Layer, error) {
	place := filepath.Join(cache, "packages-"+key()+".tar.gz")
	layer, err := tarball.LayerFromFile(place, tarball.WithMediaType(types.DockerLayer))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return layer, err
	}
	if !hasApt() {
		return nil, ErrNoApt
	}
	u, err := unpack(ctx, cache, filepath.Join(tmp, "packages"))
	if err != nil {
		return nil, err
	}
	l, err := debimage.NewLayer(tmp)
	if err != nil {
		return nil, err
	}
	if err := u.write(l); err != nil {
		return nil, err
	}
	if layer, err = l.Finish(); err != nil {
		return nil, err
	}
	if err := store(layer, filepath.Join(tmp, "packages.tar.gz"), place); err != nil {
		return nil, err
	}
	return tarball.LayerFromFile(place, tarball.WithMediaType(types.DockerLayer))
}

func store(layer v1.Layer, through, place string) error {
	r, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	f, err := os.Create(through)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(through, place)
}

func assemble(layers ...v1.Layer) (v1.Image, error) {
	img := v1.Image(empty.Image)
	for i, l := range layers {
		by := []string{"Debian packages of OVS and OVN", "arca-network"}[i]
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: debimage.Epoch}, CreatedBy: by}}); err != nil {
			return nil, err
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Created = runtime.GOARCH, "linux", v1.Time{Time: debimage.Epoch}
	file.Config = v1.Config{Entrypoint: []string{"/usr/bin/arca-network"}, Env: []string{"PATH=/usr/sbin:/usr/bin"}, WorkingDir: "/", StopSignal: "SIGTERM"}
	return mutate.ConfigFile(img, file)
}

// replace moves a file to its place, which may be on another file system.
func replace(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if os.Rename(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.CreateTemp(filepath.Dir(to), ".image-")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return os.Rename(out.Name(), to)
}
