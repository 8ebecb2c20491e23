package container

import (
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
)

// Joiners share a sandbox, which ends with the last of them.
func TestJoiners(t *testing.T) {
	w := newWorld(t)
	first := w.run("run")
	second := w.run("run", joins(first))
	third := w.run("exit 4", joins(second))
	if r := w.status(third, record.Exited); r.State.ExitCode != 4 {
		t.Errorf("%+v", r.State)
	}
	if got := w.helper.Running(); !slices.Equal(got, []string{first}) {
		t.Errorf("sandboxes %v", got)
	}
	check(t, w.engine.Remove(t.Context(), third, RemoveOptions{}))
	check(t, w.engine.Stop(t.Context(), first, StopOptions{}))
	if w.helper.Box(first) == nil {
		t.Error("the sandbox went with its first container")
	}
	if err := w.engine.Start(t.Context(), w.create("run", joins(first))); !errdefs.IsConflict(err) {
		t.Error("joined a container that does not run:", err)
	}
	// The first one comes back into the sandbox that the second keeps up.
	check(t, w.engine.Start(t.Context(), first))
	check(t, w.engine.Stop(t.Context(), second, StopOptions{}))
	check(t, w.engine.Remove(t.Context(), second, RemoveOptions{}))
	w.status(first, record.Running)
	check(t, w.engine.Remove(t.Context(), first, RemoveOptions{Force: true}))
	w.idle()
}

// The death of a shared sandbox is the death of all; the next frontend takes all up.
func TestJoinersDieAndAreAdopted(t *testing.T) {
	w := newWorld(t)
	first := w.run("run")
	second := w.run("run", joins(first))
	w.stop()
	w.helper.Box(first).Process(second).End(5)
	w.start()
	w.status(first, record.Running)
	if r := w.status(second, record.Exited); r.State.ExitCode != 5 {
		t.Errorf("%+v", r.State)
	}
	check(t, w.engine.Start(t.Context(), second))
	w.helper.Kill(first)
	for _, id := range []string{first, second} {
		if r := w.status(id, record.Exited); r.State.ExitCode != 137 {
			t.Errorf("%+v", r.State)
		}
	}
	w.idle()
}

// A start that fails in a shared sandbox leaves nothing in it, and the others alone.
func TestFailedJoin(t *testing.T) {
	w := newWorld(t)
	first := w.run("run")
	second := w.create("run", joins(first))
	w.helper.Inject("Start", sandboxtest.Fault{Count: 1, After: sandboxtest.Error(status.Error(codes.Internal, "injected"))})
	if w.engine.Start(t.Context(), second) == nil {
		t.Fatal("it started")
	}
	if w.helper.Box(first).Process(second) != nil {
		t.Error("its process runs on")
	}
	w.status(first, record.Running)
	check(t, w.engine.Remove(t.Context(), second, RemoveOptions{}))
	check(t, w.engine.Remove(t.Context(), first, RemoveOptions{Force: true}))
	w.idle()
}

// The files of a stopped container are reached through a sandbox that idles out.
func TestMaintenance(t *testing.T) {
	w := newWorld(t)
	id := w.create("run")
	for range 3 {
		changes, err := w.engine.Changes(t.Context(), id)
		check(t, err)
		if len(changes) != 1 {
			t.Errorf("%+v", changes)
		}
	}
	if n := w.helper.Calls()["CreateSandbox"]; n != 1 {
		t.Errorf("%d boots for three operations", n)
	}
	w.idle()
	// A start takes the sandbox over, idle or borrowed.
	_, release, err := w.engine.Borrow(t.Context(), w.record(id))
	check(t, err)
	check(t, w.engine.Start(t.Context(), id))
	release()
	release()
	w.status(id, record.Running)
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	w.idle()
	// A removal does not wait for it to idle out.
	_, err = w.engine.Changes(t.Context(), id)
	check(t, err)
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	w.idle()
	// Nor does the end of the engine.
	_, err = w.engine.Changes(t.Context(), w.create("run"))
	check(t, err)
	w.stop()
	w.start()
	w.idle()
}

// TestACopyOutlivesItsContainer: what reads a container's files keeps its sandbox, whether the container ends by itself,
// is stopped or is removed meanwhile; the exit is told at once, and nothing else begins before the copy is over.
func TestACopyOutlivesItsContainer(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", autoRemove)
	_, release, err := w.engine.Borrow(t.Context(), w.record(id))
	check(t, err)
	exit := w.wait(id, container.WaitConditionNextExit)
	begun := time.Now()
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	if s := exit(); s.Code == 0 || time.Since(begun) > 5*time.Second {
		t.Errorf("%+v after %s", s, time.Since(begun))
	}
	if len(w.helper.Running()) != 1 {
		t.Error("the sandbox went under the copy")
	}
	if _, err := w.engine.Get(id); err != nil {
		t.Error("the container was removed under the copy")
	}
	release()
	w.gone(id)
	w.idle()
	// A copy of a stopped one keeps the removal waiting.
	id = w.create("run")
	_, release, err = w.engine.Borrow(t.Context(), w.record(id))
	check(t, err)
	removed := make(chan error, 1)
	go func() { removed <- w.engine.Remove(t.Context(), id, RemoveOptions{}) }()
	w.eventually("removal", func() bool {
		c, err := w.engine.Get(id)
		return err == nil && c.Record().State.Status == record.Removing
	})
	select {
	case err := <-removed:
		t.Errorf("removed under the copy: %v", err)
	case <-time.After(50 * time.Millisecond): // Nothing tells that it goes on waiting.
	}
	release()
	check(t, <-removed)
	w.idle()
}
