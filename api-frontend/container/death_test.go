package container

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
)

// The sandbox may die at every moment.
func TestSandboxDeath(t *testing.T) {
	at := func(method string, after bool) func(w *world, id string) {
		return func(w *world, id string) {
			die := func(context.Context) error {
				go w.helper.Kill(id) // It waits for this very call.
				return nil
			}
			f := sandboxtest.Fault{Count: 1, Before: die}
			if after {
				f = sandboxtest.Fault{Count: 1, After: die}
			}
			w.helper.Inject(method, f)
		}
	}
	for name, tc := range map[string]struct {
		prepare func(w *world, id string)
		act     func(w *world, id string) error
		code    []int
	}{
		"before the agent is dialled": {prepare: at("Dial", false)},
		"before the start":            {prepare: at("Start", false)},
		"after the start":             {prepare: at("Start", true)},
		"before events":               {prepare: at("Events", false)},
		"while it runs":               {act: func(w *world, id string) error { w.helper.Kill(id); return nil }},
		"while it is paused": {act: func(w *world, id string) error {
			if err := w.engine.Pause(w.t.Context(), id); err != nil {
				return err
			}
			w.helper.Kill(id)
			return nil
		}},
		"during a stop":         {prepare: at("Signal", false), act: func(w *world, id string) error { return w.engine.Stop(w.t.Context(), id, StopOptions{}) }},
		"after the stop signal": {prepare: at("Signal", true), act: func(w *world, id string) error { return w.engine.Stop(w.t.Context(), id, StopOptions{}) }},
		"during the release":    {prepare: at("StopSandbox", false), act: func(w *world, id string) error { return w.engine.Stop(w.t.Context(), id, StopOptions{}) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.create("run")
			if tc.prepare != nil {
				tc.prepare(w, id)
			}
			if err := w.engine.Start(t.Context(), id); err == nil {
				over := w.wait(id, container.WaitConditionNotRunning)
				if tc.act != nil {
					check(t, tc.act(w, id))
				}
				over()
			}
			r := w.record(id)
			if c := r.State.ExitCode; c != 137 && c != 143 && c != 128 {
				t.Errorf("%+v", r.State)
			}
			if r.State.IsActive() {
				t.Errorf("it is %s", r.State.Status)
			}
			w.idle()
			// Nothing of it is in the way of the next start.
			w.helper.Inject("Start", sandboxtest.Fault{})
			w.helper.Inject("Events", sandboxtest.Fault{})
			w.helper.Inject("Signal", sandboxtest.Fault{})
			check(t, w.engine.Start(t.Context(), id))
			check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
			w.idle()
		})
	}
}

func TestRestartAfterDeath(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", policy("on-failure", 0))
	w.helper.Kill(id)
	w.eventually("restart", func() bool { r := w.record(id); return r.State.Status == record.Running && r.State.Run == 2 })
	if n := w.events.count(id, events.ActionDie); n != 1 {
		t.Errorf("%d deaths", n)
	}
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	w.idle()
}

// vmhelper's death is an interruption and nothing else; what ended meanwhile is seen when it is back.
func TestHelperAway(t *testing.T) {
	w := newWorld(t)
	stays, ends, dies := w.run("run"), w.run("run"), w.run("run")
	over := w.wait(dies, container.WaitConditionNotRunning)
	w.helper.Leave()
	w.helper.Box(ends).Process(ends).End(7) // The agent's connection lives on.
	if r := w.status(ends, record.Running); r == nil {
		t.Error("its sandbox cannot be released yet")
	}
	w.helper.Kill(dies)
	w.helper.Return()
	if s := over(); s.Code != 137 {
		t.Error(s)
	}
	if r := w.status(ends, record.Exited); r.State.ExitCode != 7 {
		t.Errorf("%+v", r.State)
	}
	w.status(stays, record.Running)
	// And again while clients ask.
	started := make(chan error, 1)
	id := w.create("run")
	w.helper.Leave()
	go func() { started <- w.engine.Start(t.Context(), id) }()
	time.Sleep(50 * time.Millisecond)
	w.helper.Return()
	check(t, <-started)
	for _, id := range []string{stays, id} {
		check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	}
	w.idle()
}

// A cut output connection loses nothing and repeats nothing.
func TestOutputConnectionCut(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	for range 20 {
		check(t, w.engine.Kill(t.Context(), id, "HUP"))
		w.helper.Box(id).CutStreams()
	}
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	if got := w.output(id); got != strings.Repeat("HANGUP\n", 20) {
		t.Errorf("%q", got)
	}
}
