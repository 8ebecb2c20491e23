package container

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/filter"
)

// ListOptions are the parameters of GET /containers/json.
type ListOptions struct {
	All, Size bool
	Limit     int
	Filters   string // JSON.
	// Annotations tells whether the API version shows them.
	Annotations bool
}

// List renders the list of containers as JSON.
func (e *Engine) List(ctx context.Context, o ListOptions) (json.RawMessage, error) {
	f, err := filter.Parse(o.Filters)
	if err != nil {
		return nil, err
	}
	chosen, err := view.List(e.Records(), view.ListOptions{
		All: o.All, Limit: o.Limit, Filters: f, Find: e.RecordOf,
		Ancestors: func(ref string) []string { return e.images.Ancestors(ctx, ref) }, Settings: e.settings,
	})
	if err != nil {
		return nil, err
	}
	entries := make([]*view.Entry, 0, len(chosen))
	for _, r := range chosen {
		entry, err := e.entry(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	names := map[string]string{} // what a reference names now, once per list.
	b, err := view.Render(entries, time.Now(), o.Annotations, func(r *record.Container) (view.EntryFacts, error) {
		return e.listFacts(ctx, r, o.Size, names)
	})
	return bytes.TrimSuffix(b, []byte("\n")), err
}

// entry returns the rendered record, from the last time when it has not changed since.
func (e *Engine) entry(r *record.Container) (*view.Entry, error) {
	c, err := e.Get(r.ID)
	if err == nil {
		if entry := c.entry.Load(); entry != nil && entry.Record == r {
			return entry, nil
		}
	}
	entry, rerr := view.NewEntry(r, e.settings(r))
	if rerr == nil && err == nil {
		c.entry.Store(entry)
	}
	return entry, rerr
}

func (e *Engine) listFacts(ctx context.Context, r *record.Container, size bool, names map[string]string) (view.EntryFacts, error) {
	var facts view.EntryFacts
	if ref := r.Config.Image; ref != "" {
		id, seen := names[ref]
		if !seen {
			id = e.images.ID(ctx, ref)
			names[ref] = id
		}
		if id != r.ImageID {
			facts.Image = r.ImageID
		}
	}
	if size {
		rw, root, err := e.sizes(ctx, r)
		if err != nil {
			return facts, err
		}
		facts.SizeRw, facts.SizeRootFs = &rw, &root
	}
	return facts, nil
}

// sizes measures what a container wrote, and that together with its image.
func (e *Engine) sizes(ctx context.Context, r *record.Container) (rw, root int64, err error) {
	rw, err = e.sandboxes.Client().UsageUpper(ctx, r.ID)
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return rw, rw + e.images.Size(ctx, r.ImageID), err
}

// Inspect shows one container.
func (e *Engine) Inspect(ctx context.Context, ref string, size bool) (*view.Inspect, error) {
	c, err := e.Get(ref)
	if err != nil {
		return nil, err
	}
	rec := c.Record()
	facts := view.Facts{Network: e.settings(rec), Links: e.shownLinks(rec), ExecIDs: e.execs.IDs(c.id), Ulimits: e.world.Ulimits}
	c.mu.Lock()
	if c.log != nil {
		facts.LogPath = c.log.Path()
	}
	c.mu.Unlock()
	if size {
		rw, root, err := e.sizes(ctx, rec)
		if err != nil {
			return nil, err
		}
		facts.SizeRw, facts.SizeRootFs = &rw, &root
	}
	return view.NewInspect(rec, &facts), nil
}
