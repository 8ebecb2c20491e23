package container

import (
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func TestStop(t *testing.T) {
	w := newWorld(t)
	second := 1
	for name, tc := range map[string]struct {
		args  string
		o     StopOptions
		pause bool
		code  int
	}{
		"it obeys":            {args: "run", code: 143},
		"another signal":      {args: "run", o: StopOptions{Signal: "INT"}, code: 130},
		"it must be killed":   {args: "stubborn", o: StopOptions{Timeout: &second}, code: 137},
		"paused":              {args: "run", pause: true, code: 143},
		"paused and obdurate": {args: "stubborn", o: StopOptions{Timeout: &second}, pause: true, code: 137},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.run(tc.args)
			if tc.pause {
				check(t, w.engine.Pause(t.Context(), id))
			}
			check(t, w.engine.Stop(t.Context(), id, tc.o))
			r := w.record(id)
			if r.State.Status != record.Exited || r.State.ExitCode != tc.code || !r.State.HasBeenManuallyStopped {
				t.Errorf("%+v", r.State)
			}
			if err := w.engine.Stop(t.Context(), id, tc.o); !errdefs.IsNotModified(err) {
				t.Error("stopped twice:", err)
			}
			if err := w.engine.Kill(t.Context(), id, ""); !errdefs.IsConflict(err) {
				t.Error("killed after its end:", err)
			}
		})
	}
	w.idle()
}

func TestKill(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	check(t, w.engine.Kill(t.Context(), id, "HUP"))
	w.eventually("the signal", func() bool { return w.output(id) == "HANGUP\n" })
	check(t, w.engine.Pause(t.Context(), id))
	if err := w.engine.Pause(t.Context(), id); !errdefs.IsConflict(err) {
		t.Error(err)
	}
	// As in dockerd: without a stop signal of its own any signal resumes it.
	check(t, w.engine.Kill(t.Context(), id, "USR1"))
	w.status(id, record.Running)
	if w.events.count(id, events.ActionUnPause) != 1 {
		t.Error("nobody was told that it goes on")
	}
	check(t, w.engine.Pause(t.Context(), id))
	check(t, w.engine.Kill(t.Context(), id, "KILL"))
	if r := w.record(id); r.State.Status != record.Exited || r.State.ExitCode != 137 {
		t.Errorf("%+v", r.State)
	}
	if err := w.engine.Kill(t.Context(), id, "NONSENSE"); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
}

// A kill does not wait for a stop that waits for its timeout.
func TestKillDuringStop(t *testing.T) {
	w := newWorld(t)
	id := w.run("stubborn")
	forever := -1
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.engine.Stop(t.Context(), id, StopOptions{Timeout: &forever}); err != nil {
			t.Error(err)
		}
	})
	w.eventually("the stop signal", func() bool { return w.events.count(id, events.ActionKill) == 1 })
	check(t, w.engine.Kill(t.Context(), id, ""))
	wg.Wait()
	w.status(id, record.Exited)
	w.idle()
}

// The engine's end ends whatever waits for a container that does not obey.
func TestEngineEndsDuringStop(t *testing.T) {
	w := newWorld(t)
	id := w.run("stubborn")
	forever := -1
	stopped := make(chan error, 1)
	go func() { stopped <- w.engine.Stop(t.Context(), id, StopOptions{Timeout: &forever}) }()
	w.eventually("the stop signal", func() bool { return w.events.count(id, events.ActionKill) == 1 })
	w.stop()
	select {
	case err := <-stopped:
		if err == nil {
			t.Error("the stop succeeded")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stop goes on without its engine")
	}
	w.start()
	w.status(id, record.Running)
	check(t, w.engine.Kill(t.Context(), id, ""))
	w.idle()
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	a, b := w.create("run"), w.create("run")
	check(t, w.engine.Rename(t.Context(), a, "first"))
	if err := w.engine.Rename(t.Context(), b, "/first"); !errdefs.IsConflict(err) {
		t.Error(err)
	}
	if err := w.engine.Rename(t.Context(), a, "first"); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		wg.Go(func() {
			for _, id := range []string{a, b} {
				if err := w.engine.Rename(t.Context(), id, "prize"); err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				} else if !errdefs.IsConflict(err) && !errdefs.IsInvalidArgument(err) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d won the name", won)
	}
	w.consistent()
}
