package container

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func TestRestartPolicies(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		args     string
		policy   container.RestartPolicyMode
		retries  int
		restarts int
	}{
		"no":                    {"exit 1", "no", 0, 0},
		"on failure, success":   {"exit 0", "on-failure", 5, 0},
		"on failure, two tries": {"exit 4", "on-failure", 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.create(tc.args, policy(tc.policy, tc.retries))
			ended := w.wait(id, container.WaitConditionNextExit)
			check(t, w.engine.Start(t.Context(), id))
			ended()
			r := w.status(id, record.Exited)
			if r.State.RestartCount != tc.restarts || w.events.count(id, events.ActionDie) != tc.restarts+1 {
				t.Errorf("%d restarts, %d deaths, want %d restarts", r.State.RestartCount, w.events.count(id, events.ActionDie), tc.restarts)
			}
		})
	}
	w.idle()
}

// A wait for not-running lasts until the policy gives up; one for the next exit does not.
func TestWaitsAndRestarts(t *testing.T) {
	w := newWorld(t)
	id := w.create("exit 4", policy("on-failure", 1))
	check(t, w.engine.Start(t.Context(), id))
	over := w.wait(id, container.WaitConditionNotRunning)
	if s := over(); s.Code != 4 {
		t.Error(s)
	}
	if r := w.record(id); r.State.Status != record.Exited || r.State.RestartCount != 1 {
		t.Errorf("%+v", r.State)
	}
}

func TestStopOfARestartingContainer(t *testing.T) {
	for name, stop := range map[string]func(w *world, id string) error{
		"stop":   func(w *world, id string) error { return w.engine.Stop(w.t.Context(), id, StopOptions{}) },
		"kill":   func(w *world, id string) error { return w.engine.Kill(w.t.Context(), id, "") },
		"remove": func(w *world, id string) error { return w.engine.Remove(w.t.Context(), id, RemoveOptions{Force: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.run("exit 5", policy("always", 0))
			w.eventually("restart", func() bool { return w.record(id).State.Status == record.Restarting })
			if err := w.engine.Remove(t.Context(), id, RemoveOptions{}); !errdefs.IsConflict(err) {
				t.Error(err)
			}
			if err := w.engine.Start(t.Context(), id); err != nil && !errdefs.IsNotModified(err) {
				t.Error(err)
			}
			begun := time.Now()
			over := w.wait(id, container.WaitConditionNotRunning)
			check(t, stop(w, id))
			over()
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if name == "remove" {
				w.gone(id)
			} else {
				deaths := w.events.count(id, events.ActionDie)
				w.status(id, record.Exited)
				time.Sleep(300 * time.Millisecond) // Longer than the back-off: nothing may happen.
				if w.events.count(id, events.ActionDie) != deaths {
					t.Error("it was restarted")
				}
			}
			w.idle()
		})
	}
}

func TestRestartKeepsAutoRemoved(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", autoRemove)
	check(t, w.engine.Restart(t.Context(), id, StopOptions{}))
	if r := w.status(id, record.Running); r.State.Run != 2 {
		t.Errorf("run %d", r.State.Run)
	}
	removed := w.wait(id, container.WaitConditionRemoved)
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	if s := removed(); s.Code != 143 {
		t.Error(s)
	}
	w.gone(id)
	w.idle()
}

func TestShutdownKeepsPolicies(t *testing.T) {
	w := newWorld(t)
	always, unless, stopped, none := w.run("run", policy("always", 0)), w.run("run", policy("unless-stopped", 0)),
		w.run("run", policy("unless-stopped", 0)), w.run("run")
	check(t, w.engine.Stop(t.Context(), stopped, StopOptions{}))
	w.engine.Shutdown(t.Context())
	for _, id := range []string{always, unless, stopped, none} {
		if r := w.status(id, record.Exited); r.State.ExitCode != 143 {
			t.Errorf("%+v", r.State)
		}
	}
	if err := w.engine.Start(t.Context(), none); !errdefs.IsUnavailable(err) {
		t.Error("a start after the shutdown:", err)
	}
	w.stop()
	w.start()
	w.status(always, record.Running)
	w.status(unless, record.Running)
	w.status(stopped, record.Exited)
	w.status(none, record.Exited)
}
