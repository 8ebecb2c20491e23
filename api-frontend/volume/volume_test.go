package volume

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/store"
)

// fakeStores is vmhelper's side of volumes.
type fakeStores struct {
	mu    sync.Mutex
	sizes map[string]int64
	fail  error // of the next calls.
	calls []string
}

func (f *fakeStores) call(name, id string) error {
	f.calls = append(f.calls, name+" "+id)
	return f.fail
}

func (f *fakeStores) CreateVolume(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("create", id); err != nil {
		return err
	}
	if _, ok := f.sizes[id]; !ok {
		f.sizes[id] = 100
	}
	return nil
}

func (f *fakeStores) RemoveVolume(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("remove", id); err != nil {
		return err
	}
	delete(f.sizes, id)
	return nil
}

func (f *fakeStores) UsageVolume(_ context.Context, id string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sizes[id], f.fail
}

func (f *fakeStores) Stores(context.Context) (uppers, volumes []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nil, slices.Sorted(maps.Keys(f.sizes)), f.fail
}

type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) Publish(m events.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.Actor.Attributes))
	s := string(m.Type) + " " + string(m.Action) + " " + m.Actor.ID
	for _, k := range keys {
		s += " " + k + "=" + m.Actor.Attributes[k]
	}
	r.got = append(r.got, s)
}

type fixture struct {
	*Service
	db     *store.Store
	stores *fakeStores
	events *recorder
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f := &fixture{db: db, stores: &fakeStores{sizes: map[string]int64{}}, events: &recorder{}}
	f.restart(t)
	return f
}

// restart makes a new service over the same database and stores, as a new process does.
func (f *fixture) restart(t *testing.T, containers ...string) {
	t.Helper()
	f.Service = New(f.db, f.stores, f.events, func() string { return "/volumes" })
	if err := f.Reconcile(t.Context(), func(id string) bool { return slices.Contains(containers, id) }); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) create(t *testing.T, req Request) string {
	t.Helper()
	v, err := f.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return v.Name
}

func (f *fixture) acquire(t *testing.T, container string, req Request) Record {
	t.Helper()
	var r Record
	err := f.db.Update(func(tx *store.Tx) (err error) {
		r, err = f.Acquire(tx, container, req)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) release(t *testing.T, container string, names ...string) {
	t.Helper()
	if err := f.db.Update(func(tx *store.Tx) error { return f.Release(tx, container, names...) }); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) names(t *testing.T, fl filter.Filter) []string {
	t.Helper()
	list, err := f.List(t.Context(), fl)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, v := range list {
		names = append(names, v.Name)
	}
	return names
}

func TestCreate(t *testing.T) {
	f := newFixture(t)
	v, err := f.Create(t.Context(), Request{Name: "data", Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Record("data")
	if err != nil {
		t.Fatal(err)
	}
	if v.Driver != "local" || v.Scope != "local" || v.Options != nil || v.Mountpoint != "/volumes/"+r.ID+"/_data" || v.CreatedAt == "" {
		t.Errorf("got %+v", v)
	}
	again, err := f.Create(t.Context(), Request{Name: "data", Driver: "local"})
	if err != nil || again.Labels["a"] != "b" {
		t.Errorf("a second create: %+v, %v", again, err)
	}
	anon := f.create(t, Request{})
	if len(anon) != 64 {
		t.Errorf("anonymous name %q", anon)
	}
	got, err := f.Get(t.Context(), anon)
	if _, ok := got.Labels[AnonymousLabel]; !ok || err != nil {
		t.Errorf("anonymous volume %+v, %v", got, err)
	}
	want := []string{"volume create data driver=local", "volume create " + anon + " driver=local"}
	if diff := cmp.Diff(want, f.events.got); diff != "" {
		t.Error(diff)
	}
}

func TestSentences(t *testing.T) {
	f := newFixture(t)
	f.create(t, Request{Name: "used"})
	f.acquire(t, "c2", Request{Name: "used"})
	f.acquire(t, "c1", Request{Name: "used"})
	create := func(r Request) func() error {
		return func() error { _, err := f.Create(t.Context(), r); return err }
	}
	opts := func(kv ...string) Request {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return Request{Name: "xx", Options: m}
	}
	for _, c := range []struct {
		do    func() error
		want  string
		class func(error) bool
	}{
		{create(Request{Name: "xx", Driver: "foo"}), `create xx: error looking up volume plugin foo: plugin "foo" not found`, errdefs.IsNotFound},
		{create(Request{Name: "used", Driver: "foo"}), `create used: error looking up volume plugin foo: plugin "foo" not found`, errdefs.IsNotFound},
		{create(Request{Name: "x"}), "create x: volume name is too short, names should be at least two alphanumeric characters", errdefs.IsInvalidArgument},
		{create(Request{Name: "a/b"}), `create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`, errdefs.IsInvalidArgument},
		{create(opts("foo", "1")), `create xx: invalid option: "foo"`, errdefs.IsInvalidArgument},
		{create(opts("type", "none")), `create xx: missing required option: "device"`, errdefs.IsInvalidArgument},
		{create(opts("device", "/x")), `create xx: missing required option: "type"`, errdefs.IsInvalidArgument},
		{create(opts("o", "bind")), `create xx: missing required option: "device"`, errdefs.IsInvalidArgument},
		{create(opts("size", "10m")), "create xx: quota size requested but no quota support", errdefs.IsInvalidArgument},
		{create(opts("size", "x")), "create xx: invalid size: 'x'", errdefs.IsInvalidArgument},
		{create(opts("type", "nfs", "device", ":/x", "o", "addr=1.2.3.4")), `create xx: volumes of type "nfs" are not supported by the local driver of this engine: only type=none with o=bind is`, errdefs.IsInvalidArgument},
		{create(opts("type", "tmpfs", "device", "tmpfs")), `create xx: volumes of type "tmpfs" are not supported by the local driver of this engine: only type=none with o=bind is`, errdefs.IsInvalidArgument},
		{create(opts("type", "none", "device", "x", "o", "bind")), `create xx: invalid device "x" of a bind volume: it must be an absolute path`, errdefs.IsInvalidArgument},
		{create(opts("type", "none", "device", "/x", "o", "bind,nosuch")), `create xx: option "nosuch" of a bind volume is not supported: only bind, rbind, ro and rw are`, errdefs.IsInvalidArgument},
		{func() error { _, err := f.Get(t.Context(), "none"); return err }, "get none: no such volume", errdefs.IsNotFound},
		{func() error { return f.Remove(t.Context(), "none", false) }, "get none: no such volume", errdefs.IsNotFound},
		{func() error { return f.Remove(t.Context(), "used", false) }, "remove used: volume is in use - [c1, c2]", errdefs.IsConflict},
		{func() error { return f.Remove(t.Context(), "used", true) }, "remove used: volume is in use - [c1, c2]", errdefs.IsConflict},
		{func() error { _, err := f.List(t.Context(), filter.Of("nosuch", "1")); return err }, "invalid filter 'nosuch'", errdefs.IsInvalidArgument},
		{func() error { _, err := f.Prune(t.Context(), filter.Of("all", "x"), false); return err }, `invalid filter 'all': strconv.ParseBool: parsing "x": invalid syntax`, errdefs.IsInvalidArgument},
		{func() error { _, err := f.Prune(t.Context(), filter.Of("all", "1", "all", "0"), false); return err }, "invalid filter 'all=[0 1]': only one value is expected", errdefs.IsInvalidArgument},
		{func() error { _, err := f.Prune(t.Context(), filter.Of("dangling", "1"), false); return err }, "invalid filter 'dangling'", errdefs.IsInvalidArgument},
	} {
		err := c.do()
		if err == nil || err.Error() != c.want || !c.class(err) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	if err := f.Remove(t.Context(), "none", true); err != nil {
		t.Errorf("forced removal of nothing: %v", err)
	}
}

func TestBindOptions(t *testing.T) {
	for _, c := range []struct {
		kind, device, o string
		want            Bind
	}{
		{"none", "/a/../b", "bind", Bind{Path: "/b", NonRecursive: true}},
		{"none", "/b", "rbind,ro", Bind{Path: "/b", ReadOnly: true}},
		{"none", "/b", "ro,bind,rw", Bind{Path: "/b", NonRecursive: true}},
		{"bind", "/b", "", Bind{Path: "/b", NonRecursive: true}},
	} {
		got, err := parseOptions(map[string]string{"type": c.kind, "device": c.device, "o": c.o})
		if err != nil || got == nil || *got != c.want {
			t.Errorf("%v: got %+v, %v", c, got, err)
		}
	}
	f := newFixture(t)
	f.create(t, Request{Name: "bound", Options: map[string]string{"type": "none", "device": "/src", "o": "bind"}})
	sources, err := f.Prepare(t.Context(), "bound")
	if err != nil || sources["bound"].Bind == nil || sources["bound"].Bind.Path != "/src" {
		t.Errorf("got %+v, %v", sources, err)
	}
	if err := f.Remove(t.Context(), "bound", false); err != nil {
		t.Fatal(err)
	}
	if len(f.stores.calls) != 0 {
		t.Errorf("a bind volume has no store: %v", f.stores.calls)
	}
}

func TestUsers(t *testing.T) {
	f := newFixture(t)
	r := f.acquire(t, "c1", Request{Name: "shared"})
	f.acquire(t, "c1", Request{Name: "shared"})
	f.acquire(t, "c2", Request{Name: "shared"})
	anon := f.acquire(t, "c1", Request{})
	if got := f.ContainersUsing("shared"); !slices.Equal(got, []string{"c1", "c2"}) {
		t.Errorf("users %v", got)
	}
	if len(f.stores.calls) != 0 {
		t.Errorf("a store was made inside a transaction: %v", f.stores.calls)
	}
	sources, err := f.Prepare(t.Context(), "shared", anon.Name)
	if err != nil || sources["shared"].ID != r.ID || sources[anon.Name].ID != anon.ID {
		t.Fatalf("prepared %v, %v", sources, err)
	}
	if _, err := f.Prepare(t.Context(), "shared"); err != nil || len(f.stores.calls) != 2 {
		t.Errorf("prepared twice: %v, %v", f.stores.calls, err)
	}
	f.release(t, "c1", "shared", anon.Name, "gone")
	if err := f.RemoveUnused(t.Context(), anon.Name, "shared", "gone"); err != nil {
		t.Fatal(err)
	}
	if got := f.names(t, filter.Filter{}); !slices.Equal(got, []string{"shared"}) {
		t.Errorf("left %v", got)
	}
	f.release(t, "c2", "shared")
	if err := f.Remove(t.Context(), "shared", false); err != nil {
		t.Fatal(err)
	}
	if len(f.stores.sizes) != 0 {
		t.Errorf("stores left: %v", f.stores.sizes)
	}
}

// TestAbortedContainer: a container whose transaction fails leaves no volume and no event.
func TestAbortedContainer(t *testing.T) {
	f := newFixture(t)
	fail := errors.New("no")
	err := f.db.Update(func(tx *store.Tx) error {
		if _, err := f.Acquire(tx, "c1", Request{Name: "new"}); err != nil {
			t.Fatal(err)
		}
		return fail
	})
	if !errors.Is(err, fail) || len(f.names(t, filter.Filter{})) != 0 || len(f.events.got) != 0 {
		t.Errorf("left %v, %v", f.names(t, filter.Filter{}), f.events.got)
	}
}

func TestList(t *testing.T) {
	f := newFixture(t)
	f.create(t, Request{Name: "free", Labels: map[string]string{"a": "1"}})
	f.create(t, Request{Name: "used", Labels: map[string]string{"a": "2"}})
	f.acquire(t, "c1", Request{Name: "used"})
	for _, c := range []struct {
		f    filter.Filter
		want []string
	}{
		{filter.Filter{}, []string{"free", "used"}},
		{filter.Of("dangling", "true"), []string{"free"}},
		{filter.Of("dangling", "0"), []string{"used"}},
		{filter.Of("driver", "local"), []string{"free", "used"}},
		{filter.Of("driver", "foo"), []string{}},
		{filter.Of("name", "fr"), []string{"free"}},
		{filter.Of("label", "a"), []string{"free", "used"}},
		{filter.Of("label", "a=2"), []string{"used"}},
	} {
		if got := f.names(t, c.f); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.f, got, c.want)
		}
	}
}

func TestPrune(t *testing.T) {
	f := newFixture(t)
	anon := f.create(t, Request{})
	keep := f.create(t, Request{Labels: map[string]string{"keep": ""}})
	f.create(t, Request{Name: "named"})
	f.create(t, Request{Name: "used"})
	f.create(t, Request{Name: "bound", Options: map[string]string{"type": "none", "device": "/src", "o": "bind"}})
	f.acquire(t, "c1", Request{Name: "used"})

	report, err := f.Prune(t.Context(), filter.Of("label!", "keep"), false)
	if err != nil || !slices.Equal(report.VolumesDeleted, []string{anon}) || report.SpaceReclaimed != 100 {
		t.Errorf("got %+v, %v", report, err)
	}
	report, err = f.Prune(t.Context(), filter.Of("all", "true"), false)
	want := []string{keep, "named"}
	slices.Sort(want)
	if err != nil || !slices.Equal(report.VolumesDeleted, want) {
		t.Errorf("got %+v, %v", report, err)
	}
	report, err = f.Prune(t.Context(), filter.Filter{}, true)
	if err != nil || report.VolumesDeleted == nil || len(report.VolumesDeleted) != 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	if last := f.events.got[len(f.events.got)-1]; last != "volume prune  reclaimed=0" {
		t.Errorf("last event %q", last)
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t)
	f.create(t, Request{Name: "used"})
	f.create(t, Request{Name: "bound", Options: map[string]string{"type": "none", "device": "/src", "o": "bind"}})
	f.acquire(t, "c1", Request{Name: "used"})
	list, err := f.Usage(t.Context())
	if err != nil || len(list) != 1 || list[0].UsageData.Size != 100 || list[0].UsageData.RefCount != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	f.stores.fail = errors.New("no")
	list, err = f.Usage(t.Context())
	if err != nil || list[0].UsageData.Size != -1 {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestRemoveFails(t *testing.T) {
	f := newFixture(t)
	f.create(t, Request{Name: "data"})
	f.stores.fail = errors.New("vmhelper is away")
	err := f.Remove(t.Context(), "data", false)
	if err == nil || !strings.HasPrefix(err.Error(), "remove data: ") {
		t.Errorf("got %v", err)
	}
	if got := f.names(t, filter.Filter{}); !slices.Equal(got, []string{"data"}) {
		t.Errorf("after a removal that failed: %v", got)
	}
	if err := f.Remove(t.Context(), "data", true); err != nil {
		t.Fatal(err)
	}
	if got := f.names(t, filter.Filter{}); len(got) != 0 || len(f.stores.sizes) != 1 {
		t.Errorf("after a forced removal: %v, %v", got, f.stores.sizes)
	}
	f.stores.fail = nil
	f.restart(t)
	if len(f.stores.sizes) != 0 {
		t.Errorf("the store was not removed later: %v", f.stores.sizes)
	}
}

func TestCreateFails(t *testing.T) {
	f := newFixture(t)
	f.stores.fail = errors.New("vmhelper is away")
	if _, err := f.Create(t.Context(), Request{Name: "data"}); err == nil || !strings.HasPrefix(err.Error(), "create data: ") {
		t.Errorf("got %v", err)
	}
	if got := f.names(t, filter.Filter{}); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

// TestCrash cuts a removal at each of its steps; a restart finishes it, and a name that was taken again is left alone.
func TestCrash(t *testing.T) {
	f := newFixture(t)
	f.create(t, Request{Name: "data"})
	old, err := f.bury("data", func(Record) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	f.create(t, Request{Name: "data"}) // The name is free while the old store goes.
	if err := f.exhume(old); err != nil {
		t.Fatal(err)
	}
	r, err := f.Record("data")
	if err != nil || r.ID == old.ID {
		t.Fatalf("the new volume was replaced: %+v, %v", r, err)
	}
	f.stores.sizes["orphan"] = 1
	f.acquire(t, "dead", Request{Name: "data"})
	f.acquire(t, "live", Request{Name: "data"})
	f.acquire(t, "new", Request{Name: "data"}) // Committed, but not registered yet.
	err = f.db.Update(func(tx *store.Tx) error {
		return store.Bucket[record.Container]{Name: record.Bucket}.Put(tx, "new", record.Container{ID: "new"})
	})
	if err != nil {
		t.Fatal(err)
	}
	f.restart(t, "live")
	if _, ok := f.stores.sizes[r.ID]; !ok || len(f.stores.sizes) != 1 {
		t.Errorf("stores %v, want %s alone", f.stores.sizes, r.ID)
	}
	if got := f.ContainersUsing("data"); !slices.Equal(got, []string{"live", "new"}) {
		t.Errorf("users %v", got)
	}
}

// TestNewDatabase: a database that is new removes no store that it does not know, then or later.
func TestNewDatabase(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	f := &fixture{db: db, stores: &fakeStores{sizes: map[string]int64{"precious": 1}}, events: &recorder{}}
	for range 3 {
		f.restart(t)
	}
	if len(f.stores.sizes) != 1 {
		t.Error("a store was removed because the database was new")
	}
}

func TestMountEvents(t *testing.T) {
	f := newFixture(t)
	f.Mounted(Use{Name: "data", ContainerID: "c1", Destination: "/d", ReadWrite: true})
	f.Unmounted("data", "c1")
	want := []string{
		"volume mount data container=c1 destination=/d driver=local propagation= read/write=true",
		"volume unmount data container=c1 driver=local",
	}
	if diff := cmp.Diff(want, f.events.got); diff != "" {
		t.Error(diff)
	}
}

// FuzzCheckName: an accepted name can never be a path.
func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"data", "..", "a/b", ".a", "a\x00", "-a", "aé"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := CheckName(s)
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Fatal(err)
		}
		if err == nil && (len(s) < 2 || len(s) > maxName || strings.ContainsAny(s, "/\x00 \n") || s[0] == '.') {
			t.Fatalf("accepted %q", s)
		}
	})
}

// FuzzOptions: no options make the parser fail otherwise than with a sentence.
func FuzzOptions(f *testing.F) {
	f.Add("none", "/x", "bind", "")
	f.Add("", "", "ro", "10g")
	f.Fuzz(func(t *testing.T, kind, device, o, size string) {
		m := map[string]string{"type": kind, "device": device, "o": o, "size": size}
		b, err := parseOptions(m)
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Fatal(err)
		}
		if b != nil && !filepath.IsAbs(b.Path) {
			t.Fatalf("path %q", b.Path)
		}
	})
}
