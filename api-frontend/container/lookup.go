package container

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// notFound is Docker's sentence for a container that is not there.
func notFound(ref string) error {
	return &sentence{"No such container: " + ref, errdefs.ErrNotFound}
}

// sentence is a Docker-visible message with its class.
type sentence struct {
	text  string
	class error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.class }

func conflict(format string, a ...any) error {
	return &sentence{fmt.Sprintf(format, a...), errdefs.ErrConflict}
}

func invalid(format string, a ...any) error {
	return &sentence{fmt.Sprintf(format, a...), errdefs.ErrInvalidArgument}
}

// Get finds a container by full ID, name (with or without a slash), or unique prefix of an ID, in this order.
func (e *Engine) Get(ref string) (*Container, error) {
	if ref == "" {
		return nil, invalid("bad parameter: container name or ID is empty")
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if c, ok := e.byID[ref]; ok {
		return c, nil
	}
	if id, ok := e.names[strings.TrimPrefix(ref, "/")]; ok {
		return e.byID[id], nil
	}
	i := sort.SearchStrings(e.ids, ref)
	if i == len(e.ids) || !strings.HasPrefix(e.ids[i], ref) {
		return nil, notFound(ref)
	}
	if i+1 < len(e.ids) && strings.HasPrefix(e.ids[i+1], ref) {
		return nil, invalid("multiple IDs found with provided prefix: %s", ref)
	}
	return e.byID[e.ids[i]], nil
}

// All returns the live containers, newest first.
func (e *Engine) All() []*Container {
	e.mu.RLock()
	all := make([]*Container, 0, len(e.byID))
	for _, c := range e.byID {
		all = append(all, c)
	}
	e.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Container) int {
		if n := b.Record().Created.Compare(a.Record().Created); n != 0 {
			return n
		}
		return strings.Compare(a.id, b.id)
	})
	return all
}

// Records returns the records of all containers, newest first.
func (e *Engine) Records() []*record.Container {
	all := e.All()
	rs := make([]*record.Container, len(all))
	for i, c := range all {
		rs[i] = c.Record()
	}
	return rs
}

// addLocked makes a container findable. The engine's mutex is held.
func (e *Engine) addLocked(c *Container) {
	r := c.Record()
	e.byID[r.ID] = c
	e.names[r.Name] = r.ID
	i := sort.SearchStrings(e.ids, r.ID)
	e.ids = slices.Insert(e.ids, i, r.ID)
}

func (e *Engine) dropLocked(c *Container) {
	delete(e.byID, c.id)
	for name, id := range e.names {
		if id == c.id {
			delete(e.names, name)
		}
	}
	if i := sort.SearchStrings(e.ids, c.id); i < len(e.ids) && e.ids[i] == c.id {
		e.ids = slices.Delete(e.ids, i, i+1)
	}
}
