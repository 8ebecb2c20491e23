package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/filter"
)

// ListOptions say which containers a list shows.
type ListOptions struct {
	All     bool
	Limit   int // 0: no limit. With a limit, those that do not run count too.
	Filters filter.Filter
	// Find finds a container by full ID, unique prefix or name, for before and since; its error is the client's.
	Find func(name string) (*record.Container, error)
	// Ancestors tells the IDs of an image and of those made from it; nothing for an unknown image.
	Ancestors func(ref string) []string
	// Settings shows what the run of a container has of networks; nil: what the record alone tells.
	Settings func(c *record.Container) *NetworkSettings
}

// List chooses from records, which it orders by creation, newest first. The input is not changed.
func List(records []*record.Container, o ListOptions) ([]*record.Container, error) {
	s, err := newSelection(o)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(records)
	slices.SortFunc(all, func(a, b *record.Container) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	s.ids = prefixes(all, o.Filters)
	out := make([]*record.Container, 0, len(all))
	for _, c := range all {
		if o.Limit > 0 && len(out) == o.Limit {
			break
		}
		if s.before != nil { // nothing is shown up to this one.
			if c.ID == s.before.ID {
				s.before = nil
			}
			continue
		}
		if s.since != nil && c.ID == s.since.ID {
			break
		}
		if s.takes(c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// selection is ListOptions, parsed.
type selection struct {
	ListOptions
	before, since   *record.Container
	exited          []int
	isTask          *bool
	images          map[string]bool // nil: no filter.
	publish, expose portSet
	ids             map[string]bool // nil: no filter.
}

type refused string

// Error is Docker's sentence.
func (e refused) Error() string { return string(e) }

// InvalidParameter marks the error for errdefs.IsInvalidArgument.
func (refused) InvalidParameter() {}

func newSelection(o ListOptions) (*selection, error) {
	s := &selection{ListOptions: o, publish: portSet{}, expose: portSet{}}
	f := o.Filters
	if err := f.Validate("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
		"name", "network", "publish", "since", "status", "volume"); err != nil {
		return nil, err
	}
	if f.Contains("is-task") {
		b, err := f.Bool("is-task", false)
		if err != nil {
			return nil, err
		}
		s.isTask = &b
	}
	if f.Contains("ancestor") {
		s.images = map[string]bool{}
	}
	find := func(to **record.Container) func(string) error {
		return func(v string) (err error) {
			*to, err = o.Find(strings.TrimPrefix(v, "/"))
			return err
		}
	}
	for key, do := range map[string]func(string) error{
		"exited": func(v string) error {
			code, err := strconv.Atoi(v)
			if err != nil {
				return refused(fmt.Sprintf("invalid filter 'exited=%s': %v", v, err))
			}
			s.exited = append(s.exited, code)
			return nil
		},
		"status": func(v string) error {
			s.All = true
			return wrong("status", v, container.ValidateContainerState(container.ContainerState(v)))
		},
		"health": func(v string) error {
			return wrong("health", v, container.ValidateHealthStatus(container.HealthStatus(v)))
		},
		"before":  find(&s.before),
		"since":   find(&s.since),
		"publish": func(v string) error { return s.publish.add("publish", v) },
		"expose":  func(v string) error { return s.expose.add("expose", v) },
		"ancestor": func(v string) error {
			for _, id := range o.Ancestors(v) {
				s.images[id] = true
			}
			return nil
		},
	} {
		if err := f.Walk(key, do); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func wrong(key, value string, err error) error {
	if err == nil {
		return nil
	}
	return refused(fmt.Sprintf("invalid filter '%s=%s': %v", key, value, err))
}

// prefixes resolves the id filter: a value names the one container whose ID begins with it.
func prefixes(all []*record.Container, f filter.Filter) map[string]bool {
	values := f.Get("id")
	if len(values) == 0 {
		return nil
	}
	ids := map[string]bool{}
	for _, v := range values {
		var found string
		n := 0
		for _, c := range all {
			if strings.HasPrefix(c.ID, v) {
				found = c.ID
				n++
			}
		}
		if n == 1 {
			ids[found] = true
		}
	}
	return ids
}

func (s *selection) takes(c *record.Container) bool {
	f := s.Filters
	switch {
	case !c.State.IsActive() && !s.All && s.Limit <= 0,
		s.ids != nil && !s.ids[c.ID],
		s.isTask != nil && *s.isTask, // no container is a task's.
		!f.Match("name", "/"+c.Name) && !f.Match("name", c.Name),
		!f.MatchKVList("label", c.Config.Labels),
		f.Contains("isolation") && !f.Match("isolation", string(c.HostConfig.Isolation)),
		len(s.exited) > 0 && (!slices.Contains(s.exited, c.State.ExitCode) || c.State.IsActive() || c.State.StartedAt.IsZero()),
		!f.Match("status", string(c.State.Status)),
		!f.ExactMatch("health", string(health(&c.State))),
		s.images != nil && !s.images[c.ImageID],
		f.Contains("volume") && !s.mounted(c),
		f.Contains("network") && !s.networked(c),
		len(s.expose)+len(s.publish) > 0 && !s.exposed(c):
		return false
	}
	return true
}

func (s *selection) mounted(c *record.Container) bool {
	values := s.Filters.Get("volume")
	return slices.ContainsFunc(c.Mounts, func(m record.MountPoint) bool {
		name := cmp.Or(m.Name, m.Source)
		return !m.Unlisted && (slices.Contains(values, m.Destination) || slices.Contains(values, name))
	})
}

func (s *selection) networked(c *record.Container) bool {
	all := s.settings(c).Networks
	for _, v := range s.Filters.Get("network") {
		for name, ep := range all {
			if name == v || ep != nil && ep.NetworkID != "" && strings.HasPrefix(ep.NetworkID, v) {
				return true
			}
		}
	}
	return false
}

// exposed looks at the ports that the list shows.
func (s *selection) exposed(c *record.Container) bool {
	for p, bindings := range s.settings(c).Ports {
		proto := string(p.Proto())
		if s.expose[portKey{p.Num(), proto}] || len(bindings) == 0 && s.publish[portKey{0, proto}] {
			return true
		}
		for _, b := range bindings {
			if n, err := strconv.ParseUint(b.HostPort, 10, 16); err == nil && s.publish[portKey{uint16(n), proto}] {
				return true
			}
		}
	}
	return false
}

func (s *selection) settings(c *record.Container) *NetworkSettings {
	if s.Settings == nil {
		return NewNetworkSettings(c)
	}
	return s.Settings(c)
}
