package image

import (
	"encoding/json"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/registry"
)

// images finds the images of an archive: by manifest.json as Docker writes it, else by an OCI layout's index.json.
func (sp *spool) images(s *Service, opt LoadOptions) ([]loadable, error) {
	rawIndex, err := sp.read("index.json")
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if rawIndex != nil {
		if err := decode(rawIndex, "index.json", &index); err != nil {
			return nil, err
		}
	}
	rawItems, err := sp.read("manifest.json")
	if err != nil {
		return nil, err
	}
	if rawItems == nil {
		if rawIndex == nil {
			return nil, invalid("invalid archive: neither manifest.json nor index.json is in it")
		}
		return sp.layout(s, index, opt)
	}
	var items []manifestItem
	if err := decode(rawItems, "manifest.json", &items); err != nil {
		return nil, err
	}
	if items == nil {
		return nil, invalid("invalid manifest, manifest cannot be null (but can be [])")
	}
	var out []loadable
	for _, it := range items {
		l, err := sp.item(it, index)
		if err != nil {
			return nil, err
		}
		if opt.Platform == nil || s.matcher(opt.Platform).Match(l.p.config.Platform) {
			out = append(out, l)
		}
	}
	return out, nil
}

// item makes an image of a line of manifest.json.
func (sp *spool) item(it manifestItem, index ocispec.Index) (loadable, error) {
	l := loadable{parent: it.Parent}
	conf, err := sp.get(it.Config)
	if err != nil {
		return l, err
	}
	raw, err := conf.read(sp)
	if err != nil {
		return l, err
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: conf.digest, Size: conf.size}
	for _, name := range it.Layers {
		f, err := sp.get(name)
		if err != nil {
			return l, err
		}
		head, err := f.head(sp)
		if err != nil {
			return l, err
		}
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: layerType(head), Digest: f.digest, Size: f.size})
		l.files = append(l.files, f)
	}
	if l.p, err = sp.original(index, m); err != nil {
		return l, err
	}
	if l.p == nil {
		if l.p, err = compose(m); err != nil {
			return l, err
		}
	}
	if err := l.p.withConfig(raw); err != nil {
		return l, err
	}
	for _, tag := range it.RepoTags {
		named, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			return l, invalid("invalid tag %q: %v", tag, err)
		}
		t, ok := named.(reference.NamedTagged)
		if !ok {
			return l, invalid("invalid tag %q", tag)
		}
		l.names = append(l.names, t)
	}
	return l, nil
}

// compose makes a manifest for an image that came without one.
func compose(m ocispec.Manifest) (*parsed, error) {
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, invalid("encode manifest: %v", err)
	}
	return parseManifest(registry.Manifest{Raw: raw, Descriptor: ocispec.Descriptor{
		MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw)),
	}})
}

// original finds the manifest that the image had in its registry, if the archive has it and it says the same.
func (sp *spool) original(index ocispec.Index, want ocispec.Manifest) (*parsed, error) {
	for _, d := range index.Manifests {
		m, err := sp.manifest(d.Digest)
		if err != nil || m.IsIndex() {
			continue // Not this one: manifest.json alone decides.
		}
		p, err := parseManifest(m)
		if err != nil || p.manifest.Config.Digest != want.Config.Digest || len(p.manifest.Layers) != len(want.Layers) {
			continue
		}
		same := true
		for i, l := range p.manifest.Layers {
			same = same && l.Digest == want.Layers[i].Digest
		}
		if same {
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // None is a legal answer.
}

// manifest reads a manifest by the digest of what the archive really has.
func (sp *spool) manifest(d digest.Digest) (registry.Manifest, error) {
	if err := content.Check(d); err != nil {
		return registry.Manifest{}, err
	}
	e := sp.digests[d]
	if e == nil {
		return registry.Manifest{}, invalid("invalid archive: manifest %s is missing", d)
	}
	raw, err := e.read(sp)
	if err != nil {
		return registry.Manifest{}, err
	}
	media, err := registry.CheckManifest(raw, "")
	if err != nil {
		return registry.Manifest{}, err
	}
	return registry.Manifest{Raw: raw, Descriptor: ocispec.Descriptor{MediaType: media, Digest: d, Size: int64(len(raw))}}, nil
}

// layout makes images of an OCI layout's index.
func (sp *spool) layout(s *Service, index ocispec.Index, opt LoadOptions) ([]loadable, error) {
	var out []loadable
	byID := map[string]int{}
	for _, d := range index.Manifests {
		l, ok, err := sp.entry(s, d, opt)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if i, again := byID[l.p.id()]; again {
			out[i].names = append(out[i].names, l.names...)
			continue
		}
		byID[l.p.id()] = len(out)
		out = append(out, l)
	}
	return out, nil
}

// entry makes an image of an entry of index.json; of a nested index the one for the platform.
func (sp *spool) entry(s *Service, d ocispec.Descriptor, opt LoadOptions) (l loadable, ok bool, err error) {
	m, err := sp.manifest(d.Digest)
	if err != nil {
		return l, false, err
	}
	for depth := 0; m.IsIndex(); depth++ {
		if depth == 3 {
			return l, false, invalid("index is nested too deeply")
		}
		var inner ocispec.Index
		if err := decode(m.Raw, "index", &inner); err != nil {
			return l, false, err
		}
		best, found := s.choose(inner.Manifests, opt.Platform)
		if !found {
			return l, false, nil
		}
		if m, err = sp.manifest(best.Digest); err != nil {
			return l, false, err
		}
	}
	if l.p, err = parseManifest(m); err != nil {
		return l, false, err
	}
	conf := sp.digests[l.p.manifest.Config.Digest]
	if conf == nil {
		return l, false, invalid("invalid archive: config %s is missing", l.p.manifest.Config.Digest)
	}
	raw, err := conf.read(sp)
	if err != nil {
		return l, false, err
	}
	if err := l.p.withConfig(raw); err != nil {
		return l, false, err
	}
	if opt.Platform != nil && !s.matcher(opt.Platform).Match(l.p.config.Platform) {
		return l, false, nil
	}
	for _, b := range l.p.manifest.Layers {
		f := sp.digests[b.Digest]
		if f == nil {
			return l, false, invalid("invalid archive: layer %s is missing", b.Digest)
		}
		l.files = append(l.files, f)
	}
	if n := layoutName(d); n != nil {
		l.names = []reference.NamedTagged{n}
	}
	return l, true, nil
}

// layoutName is the name that an index gives to an image; nil when it gives none that is whole.
func layoutName(d ocispec.Descriptor) reference.NamedTagged {
	for _, key := range []string{"io.containerd.image.name", ocispec.AnnotationRefName} {
		value := d.Annotations[key]
		if value == "" {
			continue
		}
		named, err := reference.ParseNormalizedNamed(value)
		if err != nil {
			continue
		}
		if key == ocispec.AnnotationRefName && reference.IsNameOnly(named) {
			continue // A bare word is a tag without a repository.
		}
		if t, ok := reference.TagNameOnly(named).(reference.NamedTagged); ok {
			return t
		}
	}
	return nil
}
