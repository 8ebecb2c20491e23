package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
	"github.com/arca-engine/arca/internal/failpoint"
)

func TestAutoRemove(t *testing.T) {
	w := newWorld(t)
	id := w.create("exit 9", autoRemove)
	removed := w.wait(id, container.WaitConditionRemoved)
	check(t, w.engine.Start(t.Context(), id))
	if s := removed(); s.Code != 9 {
		t.Error(s)
	}
	w.gone(id)
	w.idle()
}

func TestRemoveRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	for want, prepare := range map[string]func() error{
		"container is running: stop the container before removing or force remove": func() error { return nil },
		"container is paused and must be unpaused first":                           func() error { return w.engine.Pause(t.Context(), id) },
	} {
		_ = w.engine.Unpause(t.Context(), id)
		check(t, prepare())
		err := w.engine.Remove(t.Context(), id, RemoveOptions{})
		if !errdefs.IsConflict(err) || err.Error() != `cannot remove container "/`+w.record(id).Name+`": `+want {
			t.Error(err)
		}
	}
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	if err := w.engine.Remove(t.Context(), id, RemoveOptions{}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	w.idle()
}

// One of many removals wins; the others are told that it is in progress, or that the container is gone.
func TestRemoveTwice(t *testing.T) {
	w := newWorld(t)
	id := w.run("stubborn")
	var wg sync.WaitGroup
	results := make(chan error, 20)
	for range cap(results) {
		wg.Go(func() { results <- w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}) })
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		switch {
		case err == nil:
			won++
		case errdefs.IsNotFound(err):
		case err.Error() == "removal of container "+id+" is already in progress":
		default:
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d removals", won)
	}
	w.idle()
}

func TestRemoveDuringStart(t *testing.T) {
	for _, force := range []bool{false, true} {
		w := newWorld(t)
		id := w.create("run")
		reached, goOn := make(chan struct{}), make(chan struct{})
		w.helper.Inject("Start", sandboxtest.Fault{Count: 1, Before: func(context.Context) error {
			close(reached)
			<-goOn
			return nil
		}})
		started := make(chan error, 1)
		go func() { started <- w.engine.Start(t.Context(), id) }()
		<-reached
		removed := make(chan error, 1)
		go func() { removed <- w.engine.Remove(t.Context(), id, RemoveOptions{Force: force}) }()
		time.Sleep(20 * time.Millisecond) // The removal may be at the turn by now, or not: both are right.
		close(goOn)
		check(t, <-started)
		err := <-removed
		if force {
			check(t, err)
			w.gone(id)
		} else {
			if !errdefs.IsConflict(err) {
				t.Error(err)
			}
			w.status(id, record.Running)
			check(t, w.engine.Kill(t.Context(), id, ""))
		}
		w.idle()
	}
}

// A removal that fails leaves a dead container, which can be removed again.
func TestFailedRemoval(t *testing.T) {
	for name, arm := range map[string]func(w *world){
		"vmhelper": func(w *world) {
			w.helper.Inject("RemoveUpper", sandboxtest.Fault{Count: 1, Before: sandboxtest.Error(status.Error(codes.Internal, "no"))})
		},
		"the commit of the removal": func(*world) { _ = failpoint.Arm("store/commit=1-1*error") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.create("run")
			removed := w.wait(id, container.WaitConditionRemoved)
			arm(w)
			if err := w.engine.Remove(t.Context(), id, RemoveOptions{}); err == nil {
				t.Fatal("it was removed")
			}
			w.status(id, record.Dead)
			if err := w.engine.Start(t.Context(), id); !errdefs.IsConflict(err) {
				t.Error(err)
			}
			check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
			removed()
			w.idle()
		})
	}
}

// A change that comes after the removal does not bring the record back.
func TestNoChangeAfterRemoval(t *testing.T) {
	w := newWorld(t)
	id := w.create("run")
	c, err := w.engine.Get(id)
	check(t, err)
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	if _, err := w.engine.change(c, func(*record.Container) error { return nil }); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	w.idle()
}

// A removal that a crash cut goes on in the next frontend.
func TestRemovalGoesOn(t *testing.T) {
	w := newWorld(t)
	id := w.create("run")
	c, err := w.engine.Get(id)
	check(t, err)
	_, err = w.engine.change(c, func(n *record.Container) error { return n.State.Remove() })
	check(t, err)
	w.stop()
	w.start()
	w.gone(id)
	w.idle()
	if _, err := w.engine.Get(id); !errors.Is(err, errdefs.ErrNotFound) {
		t.Error(err)
	}
}

// TestCreateCutBeforeItsCommit: the directory of a container that was never committed goes with the next engine.
func TestCreateCutBeforeItsCommit(t *testing.T) {
	w := newWorld(t)
	kept := w.create("run")
	w.stop()
	left := filepath.Join(w.dir, "containers", strings.Repeat("0", idLength))
	check(t, os.MkdirAll(left, 0o700))
	w.start()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "containers", kept)); err != nil {
		t.Error(err)
	}
	check(t, w.engine.Remove(t.Context(), kept, RemoveOptions{}))
	w.idle()
}

// TestRemoveAfterAPanic: a removal that panicked, which the server makes an internal error, keeps no later one away.
func TestRemoveAfterAPanic(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	check(t, failpoint.Arm("frontend/agent/Signal/answer=1*panic"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing panicked")
			}
		}()
		_ = w.engine.Remove(t.Context(), id, RemoveOptions{Force: true})
	}()
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	w.idle()
}
