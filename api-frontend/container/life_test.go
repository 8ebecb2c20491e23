package container

import (
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func TestRunToTheEnd(t *testing.T) {
	w := newWorld(t)
	id := w.create("print hello 3")
	next := w.wait(id, container.WaitConditionNextExit)
	removed := w.wait(id, container.WaitConditionRemoved)
	if s := w.wait(id, container.WaitConditionNotRunning)(); s.Code != 0 {
		t.Errorf("not-running before the start: %+v", s)
	}
	check(t, w.engine.Start(t.Context(), id))
	if s := next(); s.Code != 3 {
		t.Errorf("next exit: %+v", s)
	}
	if s := w.wait(id, "")(); s.Code != 3 {
		t.Errorf("wait after the exit: %+v", s)
	}
	r := w.status(id, record.Exited)
	if r.State.ExitCode != 3 || r.State.Pid != 0 || w.output(id) != "hello" {
		t.Errorf("%+v, output %q", r.State, w.output(id))
	}
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	if s := removed(); s.Code != 3 {
		t.Errorf("removed: %+v", s)
	}
	for _, a := range []events.Action{events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy} {
		if n := w.events.count(id, a); n != 1 {
			t.Errorf("%d events %s", n, a)
		}
	}
	w.idle()
}
