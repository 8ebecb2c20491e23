package image

import (
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/image"
)

// selection is a list's filters, made ready.
type selection struct {
	opt           ListOptions
	v             *view
	children      map[string]int
	dangling      bool
	before, since time.Time
}

func (s *Service) selection(v *view, opt ListOptions) (*selection, error) {
	f := opt.Filters
	if err := f.Validate("dangling", "label", "before", "since", "reference", "until"); err != nil {
		return nil, err
	}
	sel := &selection{opt: opt, v: v, children: v.children()}
	var err error
	if sel.dangling, err = f.Bool("dangling", false); err != nil {
		return nil, err
	}
	earlier := func(t time.Time) {
		if sel.before.IsZero() || t.Before(sel.before) {
			sel.before = t
		}
	}
	if err := s.walkCreated(v, opt, "before", earlier); err != nil {
		return nil, err
	}
	err = f.Walk("until", func(value string) error {
		t, err := parseTime(value, time.Now())
		earlier(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.walkCreated(v, opt, "since", func(t time.Time) {
		if t.After(sel.since) {
			sel.since = t
		}
	})
	return sel, err
}

// walkCreated gives the times of the images that a filter names.
func (s *Service) walkCreated(v *view, opt ListOptions, key string, f func(time.Time)) error {
	return opt.Filters.Walk(key, func(value string) error {
		id, err := v.find(value)
		if err != nil {
			return err
		}
		img, err := s.image(v, id)
		if err != nil {
			return err
		}
		if !img.Created.IsZero() {
			f(img.Created)
		}
		return nil
	})
}

// children counts the images built on each.
func (v *view) children() map[string]int {
	n := make(map[string]int)
	for _, r := range v.records {
		if r.Parent != "" {
			n[r.Parent]++
		}
	}
	return n
}

// summary makes an image's line, if it has one.
func (sel *selection) summary(img *Image) (image.Summary, bool, error) {
	f := sel.opt.Filters
	switch {
	case !sel.before.IsZero() && (img.Created.IsZero() || !img.Created.Before(sel.before)),
		!sel.since.IsZero() && (img.Created.IsZero() || !img.Created.After(sel.since)),
		f.Contains("label") && !f.MatchKVList("label", img.Config.Labels),
		sel.dangling && sel.children[img.ID] > 0:
		return image.Summary{}, false, nil
	}
	sum := summarize(img)
	if f.Contains("reference") {
		var err error
		if sum.RepoTags, sum.RepoDigests, err = sel.references(img); err != nil {
			return image.Summary{}, false, err
		}
	}
	switch named := len(sum.RepoTags)+len(sum.RepoDigests) > 0; {
	case !named && !sel.opt.All && sel.children[img.ID] > 0,
		!named && f.Contains("dangling") && !sel.dangling,
		!named && f.Contains("reference"),
		named && sel.dangling && len(sum.RepoTags) > 0:
		return image.Summary{}, false, nil
	}
	if sum.RepoTags == nil {
		sum.RepoTags = []string{}
	}
	if sum.RepoDigests == nil {
		sum.RepoDigests = []string{}
	}
	return sum, true, nil
}

// references keeps the names that one of the patterns matches.
func (sel *selection) references(img *Image) (tags, digests []string, err error) {
	for _, ref := range sel.v.names[img.ID] {
		found := false
		for _, pattern := range sel.opt.Filters.Get("reference") {
			ok, err := reference.FamiliarMatch(pattern, ref)
			if err != nil {
				return nil, nil, invalid("invalid reference filter %q: %v", pattern, err)
			}
			found = found || ok
		}
		if !found {
			continue
		}
		if _, ok := ref.(reference.Digested); ok {
			digests = append(digests, reference.FamiliarString(ref))
		} else {
			tags = append(tags, reference.FamiliarString(ref))
		}
	}
	return tags, digests, nil
}
