package image

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/arca-engine/arca/api-frontend/store"
)

// view is one moment of the database, for reading.
type view struct {
	records map[string]imageRecord
	names   map[string][]reference.Named // By image.
	byName  map[string]string
	sizes   map[digest.Digest]int64
}

func newView() *view {
	return &view{
		records: map[string]imageRecord{}, names: map[string][]reference.Named{},
		byName: map[string]string{}, sizes: map[digest.Digest]int64{},
	}
}

func (s *Service) view() (*view, error) {
	v := newView()
	err := s.db.View(func(tx *store.Tx) error { return v.load(tx) })
	if err != nil {
		return nil, fmt.Errorf("read images: %w", err)
	}
	return v, nil
}

func (v *view) load(tx *store.Tx) error {
	err := images.Each(tx, func(id string, r imageRecord) error {
		v.records[id] = r
		return nil
	})
	if err != nil {
		return err
	}
	err = layers.Each(tx, func(id string, r layerRecord) error {
		v.sizes[digest.Digest(id)] = r.Size
		return nil
	})
	if err != nil {
		return err
	}
	return names.Each(tx, func(key string, r nameRecord) error {
		ref, err := reference.ParseNamed(key)
		if err != nil {
			return fmt.Errorf("name %q: %w", key, err)
		}
		v.byName[key] = r.Image
		v.names[r.Image] = append(v.names[r.Image], ref)
		return nil
	})
}

// tags and digests split the names of an image, in their familiar form.
func (v *view) split(id string) (tags, digests []string) {
	for _, n := range v.names[id] {
		if _, ok := n.(reference.Digested); ok {
			digests = append(digests, reference.FamiliarString(n))
		} else {
			tags = append(tags, reference.FamiliarString(n))
		}
	}
	slices.Sort(tags)
	slices.Sort(digests)
	return tags, digests
}

// image reads the whole of an image.
func (s *Service) image(v *view, id string) (*Image, error) {
	r := v.records[id]
	c, err := s.config(r.Config.Digest)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id, err)
	}
	img := &Image{
		ID: id, Config: c.Config, RootFS: r.DiffIDs, Platform: c.Platform, Author: c.Author, Comment: c.Comment,
		DockerVersion: c.DockerVersion, History: c.History, Parent: r.Parent, LastTagged: r.LastTagged, Manifest: r.Manifest,
	}
	if c.Created != nil {
		img.Created = *c.Created
	}
	img.RepoTags, img.RepoDigests = v.split(id)
	for i, d := range r.DiffIDs {
		l := Layer{DiffID: d, DiskID: d.Encoded(), Size: v.sizes[d]}
		if i < len(r.Layers) {
			l.Blob = r.Layers[i]
		}
		img.Layers = append(img.Layers, l)
		img.Size += l.Size
	}
	return img, nil
}

// find returns the ID for what a client calls an image: name, tag, digest, ID or the beginning of an ID.
func (v *view) find(what string) (string, error) {
	if id, ok := v.byID(what); ok {
		return id, nil
	}
	ref, err := reference.ParseNormalizedNamed(what)
	if err != nil {
		if hexadecimal(strings.TrimPrefix(what, "sha256:")) {
			return v.byPrefix(what)
		}
		return "", errdefs.ErrInvalidArgument.WithMessage("invalid reference format")
	}
	if d, ok := ref.(reference.Digested); ok {
		key := reference.TrimNamed(ref)
		if c, err := reference.WithDigest(key, d.Digest()); err == nil {
			if id, ok := v.byName[c.String()]; ok {
				return id, nil
			}
		}
		return "", noSuchImage(what)
	}
	if id, ok := v.byName[reference.TagNameOnly(ref).String()]; ok {
		return id, nil
	}
	if id, err := v.byPrefix(what); err == nil || !errdefs.IsNotFound(err) {
		return id, err
	}
	return "", noSuchImage(reference.FamiliarString(reference.TagNameOnly(ref)))
}

func (v *view) byID(what string) (string, bool) {
	if len(what) == 64 {
		what = "sha256:" + what
	}
	_, ok := v.records[what]
	return what, ok
}

// byPrefix finds the one image whose ID begins so.
func (v *view) byPrefix(what string) (string, error) {
	hex := strings.TrimPrefix(what, "sha256:")
	if hex == "" || !hexadecimal(hex) {
		return "", noSuchImage(what)
	}
	found := ""
	for id := range v.records {
		if strings.HasPrefix(id, "sha256:"+hex) {
			if found != "" {
				return "", errdefs.ErrInvalidArgument.WithMessage("ambiguous reference: more than one image ID begins with " + hex)
			}
			found = id
		}
	}
	if found == "" {
		return "", noSuchImage(what)
	}
	return found, nil
}

func hexadecimal(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

func noSuchImage(what string) error {
	return errdefs.ErrNotFound.WithMessage("No such image: " + what)
}
