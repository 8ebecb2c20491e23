package container

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"go.uber.org/goleak"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/api-frontend/volume"
	"github.com/arca-engine/arca/internal/failpoint"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// layer is the one layer disk of the one image.
var layer = strings.Repeat("ab", 32)

type fakeImages struct{}

func (fakeImages) Defaults(context.Context, string, string) (normal.ImageDefaults, func(), error) {
	return normal.ImageDefaults{ID: "sha256:" + layer, Layers: []string{layer}, Platform: record.Platform{OS: "linux", Architecture: "amd64"}}, func() {}, nil
}
func (fakeImages) Collect([]string) error                     { return nil }
func (fakeImages) ID(context.Context, string) string          { return "sha256:" + layer }
func (fakeImages) Ancestors(context.Context, string) []string { return nil }
func (fakeImages) Size(context.Context, string) int64         { return 1 }

type fakeHealth struct{}

func (fakeHealth) Initial(*record.Container) *container.Health { return nil }
func (fakeHealth) Start(string)                                {}
func (fakeHealth) Stop(string)                                 {}

type fakeExecs struct{}

func (fakeExecs) Exited(string, string, *guestv1.Exit) {}
func (fakeExecs) ContainerEnded(string)                {}
func (fakeExecs) ContainerRemoved(string)              {}
func (fakeExecs) IDs(string) []string                  { return nil }
func (fakeExecs) Adopt(string, ...string)              {}

type fakeJoiner struct{}

func (fakeJoiner) Join(context.Context, string, string, func(context.Context) (net.Conn, error)) error {
	return errors.New("no sockets here")
}

// seen records events.
type seen struct {
	mu  sync.Mutex
	all []events.Message
}

func (s *seen) Publish(m events.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, m)
}

// count tells how often a container did something.
func (s *seen) count(id string, action events.Action) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		if m.Actor.ID == id && m.Action == action {
			n++
		}
	}
	return n
}

// world is an engine over a real store, real logs, real volumes and a fake vmhelper. It can be restarted.
type world struct {
	t        testing.TB
	dir      string
	helper   *sandboxtest.Helper
	events   *seen
	networks *fakeNetworks

	store     *store.Store
	client    *sandbox.Client
	sandboxes *sandbox.Manager
	engine    *Engine
	// helloLimit stands for the manager's own when it is not zero.
	helloLimit time.Duration
	cancel     context.CancelCauseFunc
	ran        chan error
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), events: &seen{}, networks: newFakeNetworks()}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // Registered first, so it runs last.
	w.helper = sandboxtest.New(t, nil)
	t.Cleanup(func() {
		_ = failpoint.Arm("")
		w.stop()
	})
	w.start()
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a frontend over what the last one left.
func (w *world) start() {
	w.t.Helper()
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "state.db")); err != nil {
		w.t.Fatal(err)
	}
	if w.client, err = sandbox.NewClient(w.helper.Sockets()); err != nil {
		w.t.Fatal(err)
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: testWriter{w.t}})
	w.sandboxes = sandbox.NewManager(w.client, log)
	if w.helloLimit > 0 {
		w.sandboxes.HelloLimit = w.helloLimit
	}
	volumes := volume.New(w.store, w.client, w.events, func() string { return "/volumes" })
	w.engine, err = New(Config{
		Store: w.store, Sandboxes: w.sandboxes, Images: fakeImages{}, Volumes: volumes, Events: w.events,
		Dir: filepath.Join(w.dir, "containers"), Sockets: fakeJoiner{}, Log: log,
		Environment: normal.Environment{Kernel: normal.FullKernel(2, 2), Hostname: "host", Defaults: normal.Defaults{
			LogConfig: container.LogConfig{Type: "json-file"}, ShmSize: 64 << 20, IpcMode: "private", CgroupnsMode: "private",
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine.UseHealth(fakeHealth{})
	w.engine.UseExecs(fakeExecs{})
	w.engine.UseNetworks(w.networks, fakeFabric{w.networks})
	ctx, cancel := context.WithCancelCause(context.Background())
	w.cancel, w.ran = cancel, make(chan error, 1)
	go func() { w.ran <- w.engine.Run(ctx) }()
}

// stop ends the frontend; containers run on.
func (w *world) stop() {
	w.t.Helper()
	if w.cancel == nil {
		return
	}
	w.cancel(nil)
	w.cancel = nil
	check(w.t, <-w.ran)
	check(w.t, w.client.Close())
	check(w.t, w.store.Close())
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// create makes a container that runs these arguments; edit may change the request.
func (w *world) create(args string, edit ...func(*normal.Request)) string {
	w.t.Helper()
	id, err := w.make(args, edit...)
	check(w.t, err)
	return id
}

func (w *world) make(args string, edit ...func(*normal.Request)) (string, error) {
	req := &normal.Request{}
	req.Config = &container.Config{Image: "image", Cmd: strings.Fields(args)}
	req.HostConfig = &container.HostConfig{NetworkMode: "none"}
	for _, f := range edit {
		f(req)
	}
	id, _, err := w.engine.Create(w.t.Context(), req, CreateOptions{Version: "1.51"})
	return id, err
}

// run makes a container and starts it.
func (w *world) run(args string, edit ...func(*normal.Request)) string {
	w.t.Helper()
	id := w.create(args, edit...)
	check(w.t, w.engine.Start(w.t.Context(), id))
	return id
}

func policy(name container.RestartPolicyMode, retries int) func(*normal.Request) {
	return func(r *normal.Request) {
		r.HostConfig.RestartPolicy = container.RestartPolicy{Name: name, MaximumRetryCount: retries}
	}
}

func autoRemove(r *normal.Request) { r.HostConfig.AutoRemove = true }

func joins(id string) func(*normal.Request) {
	return func(r *normal.Request) { r.HostConfig.NetworkMode = container.NetworkMode("container:" + id) }
}

func (w *world) record(id string) *record.Container {
	w.t.Helper()
	r, err := w.engine.RecordOf(id)
	check(w.t, err)
	return r
}

// status waits until the container has this status, and nothing is under way.
func (w *world) status(id string, want record.Status) *record.Container {
	w.t.Helper()
	var r *record.Container
	w.eventually("status "+string(want)+" of "+id[:12], func() bool {
		c, err := w.engine.Get(id)
		if err != nil {
			return false
		}
		r = c.Record()
		return r.State.Status == want && (c.currentRun() != nil) == r.State.IsRunning()
	})
	return r
}

func (w *world) gone(id string) {
	w.t.Helper()
	w.eventually("removal of "+id[:12], func() bool {
		_, err := w.engine.Get(id)
		return err != nil
	})
}

// eventually polls: what it waits for has no notification of its own.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(15 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within 15 s", what)
		}
	}
}

// wait registers a wait and returns its answer.
func (w *world) wait(id string, cond container.WaitCondition) func() ExitStatus {
	w.t.Helper()
	wt, err := w.engine.Wait(id, cond)
	check(w.t, err)
	return func() ExitStatus {
		w.t.Helper()
		defer wt.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s, err := wt.Result(ctx)
		check(w.t, err)
		return s
	}
}

func (w *world) output(id string) string {
	w.t.Helper()
	l, _, err := w.engine.OpenLog(w.t.Context(), id)
	check(w.t, err)
	var b bytes.Buffer
	check(w.t, l.Read(w.t.Context(), logs.ReadOptions{Stdout: true, Stderr: true, Tail: logs.All, Raw: true}, &b))
	return b.String()
}

// idle checks that nothing is left of any container: no sandbox, no writable layer of one that is gone.
func (w *world) idle() {
	w.t.Helper()
	w.eventually("end of all sandboxes", func() bool { return len(w.helper.Running()) == 0 })
	for _, id := range w.helper.Uppers() {
		if _, err := w.engine.Get(id); err != nil {
			w.t.Errorf("the writable layer of %s is left", id)
		}
	}
	w.eventually("end of all memberships", func() bool { return w.networks.count() == 0 })
	w.consistent()
}

// consistent checks the indices of the engine against each other and against the database.
func (w *world) consistent() {
	w.t.Helper()
	e := w.engine
	stored := map[string]*record.Container{}
	check(w.t, w.store.View(func(tx *store.Tx) error {
		return bucket.Each(tx, func(id string, r *record.Container) error {
			stored[id] = r
			return nil
		})
	}))
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.byID) != len(e.ids) || len(e.byID) != len(e.names) || len(e.byID) != len(stored) || !slices.IsSorted(e.ids) {
		w.t.Errorf("%d containers, %d IDs, %d names, %d stored", len(e.byID), len(e.ids), len(e.names), len(stored))
	}
	for id, c := range e.byID {
		r := c.Record()
		if e.names[r.Name] != id {
			w.t.Errorf("name %s leads to %q, not %s", r.Name, e.names[r.Name], id)
		}
		if s := stored[id]; s == nil || s.State.Status != r.State.Status || s.Name != r.Name {
			w.t.Errorf("container %s is %s, stored %+v", id, r.State.Status, s)
		}
		c.mu.Lock()
		if n := len(c.waiters); n != 0 {
			w.t.Errorf("container %s has %d waits", id, n)
		}
		c.mu.Unlock()
	}
}
