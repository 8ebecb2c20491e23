package fabric

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/store"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Names of the links in the helper's sandbox.
const (
	linkOVS      = "ovs"
	linkUplink   = "up"
	linkGateways = "gw" // where links are trunks; else each gateway has a link of its own.
)

const (
	// awaitFirst is how long a start waits for the helper's first boot: its container shall have a way out at once.
	awaitFirst = 5 * time.Second
	// awaitAgain is how long one waits for a helper that is being restarted.
	awaitAgain = time.Second

	backoffFirst = 100 * time.Millisecond
	backoffMax   = 10 * time.Second
	// steady is how long a helper must have run for its next death to be its first.
	steady = 30 * time.Second
	// bootLimit bounds a boot.
	bootLimit = 30 * time.Second
	// stopLimit bounds the end of a sandbox.
	stopLimit = 20 * time.Second
)

// helper runs the helper's sandbox. It is booted at the first need, restarted when it dies, and adopted by the next
// frontend.
type helper struct {
	f      *Fabric
	id     string
	image  *loader
	log    hclog.Logger
	output string
	path   string // of the state that is told.
	world  oci.World

	wanted  chan struct{} // of capacity 1.
	leaving chan struct{} // of capacity 1: gone is not empty.
	dirty   chan struct{} // of capacity 1: the helper lacks something that was committed.
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stopped chan struct{} // closed when run has ended.

	mu       sync.Mutex
	left     bool          // a former frontend's sandbox was found running.
	control  *control      // nil: the helper is not up.
	up       chan struct{} // closed when it is up, replaced when it is down.
	needed   time.Time     // when it was needed first; zero: never.
	everUp   bool
	failures int      // since it was up last.
	gone     []string // endpoints that the helper has still to forget.
	status   Status
	begun    bool // run was called.
}

func newHelper(f *Fabric, cfg Config) (*helper, error) {
	sum := sha256.Sum256([]byte("helper\x00" + cfg.EngineID))
	h := &helper{
		f: f, id: hex.EncodeToString(sum[:]), log: cfg.Log.Named("helper"), output: cfg.LogPath, path: cfg.StatePath, world: cfg.World,
		wanted: make(chan struct{}, 1), dirty: make(chan struct{}, 1), leaving: make(chan struct{}, 1), stopped: make(chan struct{}), up: make(chan struct{}),
	}
	h.image = &loader{images: cfg.Images, store: cfg.Store, path: cfg.ImagePath}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.tell(Status{State: stateIdle})
	return h, nil
}

// need asks for the helper.
func (h *helper) need() {
	h.mu.Lock()
	if h.needed.IsZero() {
		h.needed = time.Now()
	}
	h.mu.Unlock()
	select {
	case h.wanted <- struct{}{}:
	default:
	}
}

// await waits until the helper is up, for a bounded time; nil: it is not.
func (h *helper) await(ctx context.Context) *control {
	h.need()
	h.mu.Lock()
	c, up, limit := h.control, h.up, awaitAgain
	switch {
	case !h.everUp && h.failures == 0:
		limit = time.Until(h.needed.Add(awaitFirst))
	case h.failures > 1:
		limit = 0 // It will not be there soon.
	}
	h.mu.Unlock()
	if c != nil || limit <= 0 {
		return c
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-up:
	case <-t.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.control
}

// run keeps the helper running once it was needed.
func (h *helper) run(ctx context.Context) error {
	h.mu.Lock()
	h.begun = true
	h.mu.Unlock()
	defer close(h.stopped)
	stop := context.AfterFunc(ctx, func() { h.cancel(context.Cause(ctx)) })
	defer stop()
	select {
	case <-h.wanted:
	case <-h.ctx.Done():
		return nil
	}
	delay := backoffFirst
	for h.ctx.Err() == nil {
		begun := time.Now()
		err := h.once(h.ctx)
		if h.ctx.Err() != nil {
			break
		}
		if errors.Is(err, errNoImage) {
			h.log.Warn("there is no way out of networks", "reason", err)
			h.mu.Lock()
			h.failures = 2 // Nobody waits for it.
			h.mu.Unlock()
			h.tell(Status{State: stateFailed, Problem: err.Error()})
			<-h.ctx.Done()
			break
		}
		if time.Since(begun) > steady {
			delay = backoffFirst
		}
		h.log.Warn("the helper ended and is started again", "reason", err, "delay", delay)
		h.tell(Status{State: stateFailed, Problem: err.Error()})
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-h.ctx.Done():
			t.Stop()
		}
		delay = min(2*delay, backoffMax)
	}
	return nil
}

// found is told that the helper's sandbox runs.
func (h *helper) found() {
	if h.f.sandboxes.Box(h.id) != nil {
		return // vmhelper was away, not this frontend.
	}
	h.mu.Lock()
	h.left = true
	h.mu.Unlock()
	h.need()
}

// adopt takes up the helper's sandbox that runs since before this frontend; nil: it is of no use.
func (h *helper) adopt(ctx context.Context) (*sandbox.Box, *watcher, error) {
	w := newWatcher()
	box, hello, err := h.f.sandboxes.Adopt(ctx, h.id, map[string]sandbox.Handler{h.id: w})
	if errors.Is(err, sandbox.ErrDead) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("adopt the helper's sandbox: %w", err)
	}
	for _, p := range hello.Processes {
		if p.ContainerId == h.id && p.ExecId == "" && p.Running {
			return box, w, nil
		}
	}
	return nil, nil, h.f.sandboxes.Stop(ctx, h.id)
}

// once runs the helper until it ends; the error says why.
func (h *helper) once(ctx context.Context) (err error) {
	h.mu.Lock()
	left := h.left
	h.left = false
	h.mu.Unlock()
	var box *sandbox.Box
	var w *watcher
	h.tell(Status{State: stateStarting})
	defer func() {
		h.mu.Lock()
		if err != nil {
			h.failures++
		}
		h.mu.Unlock()
		h.setControl(nil)
	}()
	limited, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	if left {
		if box, w, err = h.adopt(limited); err != nil {
			return err
		}
	}
	if box == nil {
		if box, w, err = h.boot(limited); err != nil {
			h.end(ctx)
			return err
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	follow, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	wg.Go(func() { h.pump(follow, box) })
	err = h.serve(ctx, limited, box, w)
	if ctx.Err() != nil {
		return context.Cause(ctx) // The frontend ends, the helper runs on.
	}
	h.end(ctx)
	return err
}

// end stops what is left of the sandbox, whatever it is.
func (h *helper) end(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	err := h.f.sandboxes.Stop(ctx, h.id)
	if err == nil {
		err = h.f.sandboxes.StopUnknown(ctx, h.id)
	}
	if err != nil {
		h.log.Error("stop the helper's sandbox", "error", err)
	}
}

// shutdown ends the helper for good.
func (h *helper) shutdown(ctx context.Context) {
	h.mu.Lock()
	begun := h.begun
	h.mu.Unlock()
	h.cancel(errors.New("the frontend is shutting down"))
	if begun {
		select {
		case <-h.stopped:
		case <-ctx.Done():
			return
		}
	}
	h.end(ctx)
	h.tell(Status{State: stateIdle})
}

// watcher hears of the end of the helper's process.
type watcher struct {
	once  sync.Once
	ended chan struct{}
	why   string // set before ended is closed.
}

func newWatcher() *watcher { return &watcher{ended: make(chan struct{})} }

func (w *watcher) end(why string) {
	w.once.Do(func() {
		w.why = why
		close(w.ended)
	})
}

// Exited implements sandbox.Handler.
func (w *watcher) Exited(x *guestv1.Exit) {
	if x.ExecId == "" {
		w.end(fmt.Sprintf("its program ended with code %d", x.Code))
	}
}

// Died implements sandbox.Handler.
func (w *watcher) Died(reason string) { w.end("its sandbox ended: " + reason) }

// OutOfMemory implements sandbox.Handler.
func (w *watcher) OutOfMemory() {}

// SocketConnected implements sandbox.Handler.
func (w *watcher) SocketConnected(*guestv1.SocketConnection) {}

var errNoImage = fmt.Errorf("the helper's image is missing: %w", errdefs.ErrNotFound)

// Disks are the layer disks of the helper's image as the database names them: they stay while it does.
func Disks(db *store.Store) ([]string, error) {
	r, err := loaded(db)
	if err != nil {
		return nil, err
	}
	return r.Layers, nil
}

func fileExists(path string) bool {
	st, err := os.Stat(path)
	return path != "" && err == nil && st.Mode().IsRegular()
}
