package image

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Archive is what Save will write: a docker-archive that is an OCI image layout, too. The layers are the compressed
// blobs as they came, so the digests stay what they were.
type Archive struct {
	s      *Service
	images []archived
}

type archived struct {
	id   string
	rec  imageRecord
	img  *Image
	refs []reference.NamedTagged
}

// Save chooses images by name (all tags of a repository that is named without one), digest or ID.
func (s *Service) Save(_ context.Context, refs []string, platform *ocispec.Platform) (*Archive, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	a := &Archive{s: s}
	for _, ref := range refs {
		if err := a.choose(v, ref); err != nil {
			return nil, err
		}
	}
	for i := range a.images {
		it := &a.images[i]
		if it.img, err = s.image(v, it.id); err != nil {
			return nil, err
		}
		if platform != nil && !s.matcher(platform).Match(it.img.Platform) {
			return nil, notFor(it.id, *platform)
		}
	}
	return a, nil
}

func (a *Archive) choose(v *view, ref string) error {
	named, err := reference.ParseNormalizedNamed(ref)
	if err == nil && reference.IsNameOnly(named) {
		found := false
		for id, all := range v.names {
			for _, n := range all {
				if t, ok := n.(reference.NamedTagged); ok && n.Name() == named.Name() {
					a.add(v, id, t)
					found = true
				}
			}
		}
		if found {
			return nil
		}
	}
	id, err := v.find(ref)
	if err != nil {
		return err
	}
	t, _ := named.(reference.NamedTagged)
	if _, digested := named.(reference.Digested); digested || isIDPrefix(id, ref) {
		t = nil
	}
	a.add(v, id, t)
	return nil
}

func (a *Archive) add(v *view, id string, ref reference.NamedTagged) {
	i := slices.IndexFunc(a.images, func(it archived) bool { return it.id == id })
	if i < 0 {
		a.images = append(a.images, archived{id: id, rec: v.records[id]})
		i = len(a.images) - 1
	}
	same := func(o reference.NamedTagged) bool { return o.String() == ref.String() }
	if ref != nil && !slices.ContainsFunc(a.images[i].refs, same) {
		a.images[i].refs = append(a.images[i].refs, ref)
		slices.SortFunc(a.images[i].refs, func(x, y reference.NamedTagged) int { return compareNames(x, y) })
	}
}

func compareNames(a, b reference.Named) int {
	switch {
	case a.String() < b.String():
		return -1
	case a.String() > b.String():
		return 1
	}
	return 0
}

// manifestItem is a line of a docker-archive's manifest.json.
type manifestItem struct {
	Config       string
	RepoTags     []string
	Layers       []string
	Parent       string                               `json:",omitempty"`
	LayerSources map[digest.Digest]ocispec.Descriptor `json:",omitempty"`
}

// Write streams the archive.
func (a *Archive) Write(ctx context.Context, w io.Writer) error {
	bw := bufio.NewWriterSize(w, 1<<20)
	t := tar.NewWriter(bw)
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
	}
	written := map[digest.Digest]struct{}{}
	for _, it := range a.images {
		if err := a.writeBlobs(ctx, t, it, written); err != nil {
			return err
		}
	}
	if err := a.writeIndex(t); err != nil {
		return err
	}
	if err := errors.Join(t.Close(), bw.Flush()); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	for _, it := range a.images {
		a.s.publishID(events.ActionSave, it.id, it.rec, it.id)
	}
	return nil
}

func (a *Archive) writeBlobs(ctx context.Context, t *tar.Writer, it archived, written map[digest.Digest]struct{}) error {
	all := []digest.Digest{it.rec.Config.Digest, it.rec.Manifest.Digest}
	for _, l := range it.rec.Layers {
		all = append(all, l.Digest)
	}
	defer a.s.leases.hold(all...)()
	for _, d := range all {
		if _, ok := written[d]; ok {
			continue
		}
		written[d] = struct{}{}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := a.writeBlob(t, d); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) writeBlob(t *tar.Writer, d digest.Digest) error {
	f, err := a.s.content.OpenBlob(d)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // Read only: nothing to lose.
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	if err := t.WriteHeader(regular(blobName(d), fi.Size())); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	v := d.Verifier()
	if _, err := io.CopyBuffer(struct{ io.Writer }{t}, io.TeeReader(struct{ io.Reader }{f}, v), make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	if !v.Verified() {
		return fmt.Errorf("blob %s is damaged", d)
	}
	return nil
}

func blobName(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }

func regular(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}
}

func (a *Archive) writeIndex(t *tar.Writer) error {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	items := []manifestItem{}
	repositories := map[string]map[string]string{}
	for _, it := range a.images {
		item := manifestItem{Config: blobName(it.rec.Config.Digest), RepoTags: []string{}}
		for _, l := range it.rec.Layers {
			item.Layers = append(item.Layers, blobName(l.Digest))
		}
		base := it.rec.Manifest
		p := it.img.Platform
		base.Platform, base.Annotations = &p, nil
		if len(it.refs) == 0 {
			index.Manifests = append(index.Manifests, base)
		}
		for _, r := range it.refs {
			item.RepoTags = append(item.RepoTags, reference.FamiliarString(r))
			d := base
			d.Annotations = map[string]string{"io.containerd.image.name": r.String(), ocispec.AnnotationRefName: r.Tag()}
			index.Manifests = append(index.Manifests, d)
			if n := len(it.rec.Layers); n > 0 {
				name := reference.FamiliarName(r)
				if repositories[name] == nil {
					repositories[name] = map[string]string{}
				}
				repositories[name][r.Tag()] = it.rec.Layers[n-1].Digest.Encoded()
			}
		}
		if a.contains(it.img.Parent) {
			item.Parent = it.img.Parent
		}
		items = append(items, item)
	}
	files := []struct {
		name  string
		value any
	}{
		{"index.json", index}, {"manifest.json", items}, {"oci-layout", ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}}, {"repositories", repositories},
	}
	for _, f := range files {
		raw, err := json.Marshal(f.value)
		if err != nil {
			return fmt.Errorf("encode %s: %w", f.name, err)
		}
		if err := t.WriteHeader(regular(f.name, int64(len(raw)))); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
		if _, err := t.Write(raw); err != nil {
			return fmt.Errorf("write archive: %w", err)
		}
	}
	return nil
}

func (a *Archive) contains(id string) bool {
	return slices.ContainsFunc(a.images, func(it archived) bool { return it.id == id })
}
