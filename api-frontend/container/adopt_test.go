package container

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
)

// Each row is a container and what happens to it while no frontend runs.
func TestNextFrontend(t *testing.T) {
	w := newWorld(t)
	away := func(f func(b *sandboxtest.Box, id string)) func(string) {
		return func(id string) { f(w.helper.Box(id), id) }
	}
	nothing := func(string) {}
	rows := map[string]struct {
		id     string
		away   func(id string)
		status record.Status
		code   int
	}{
		"runs on":         {w.run("run"), nothing, record.Running, 0},
		"was paused":      {w.run("run"), away(func(b *sandboxtest.Box, id string) { b.Process(id).SetPaused(true) }), record.Paused, 0},
		"exits":           {w.run("run"), away(func(b *sandboxtest.Box, id string) { b.Process(id).End(6) }), record.Exited, 6},
		"dies":            {w.run("run"), w.helper.Kill, record.Exited, 255},
		"dies, policy":    {w.run("run", policy("always", 0)), w.helper.Kill, record.Running, 0},
		"exits, policy":   {w.run("run", policy("on-failure", 0)), away(func(b *sandboxtest.Box, id string) { b.Process(id).End(6) }), record.Running, 0},
		"never started":   {w.create("run"), nothing, record.Created, 0},
		"another boot":    {w.run("run"), func(id string) { w.helper.Kill(id); w.helper.Boot(id) }, record.Exited, 255},
		"its log is gone": {w.run("run"), func(id string) { w.breakLog(id) }, record.Exited, 255},
	}
	unknown := fmt.Sprintf("%064d", 7)
	w.stop()
	w.helper.Boot(unknown)
	for _, row := range rows {
		row.away(row.id)
	}
	w.start()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			r := w.status(row.id, row.status)
			if r.State.ExitCode != row.code {
				t.Errorf("%+v", r.State)
			}
			if n := w.events.count(row.id, events.ActionDie); n > 1 {
				t.Errorf("%d deaths", n)
			}
			if row.status == record.Exited && w.helper.Box(row.id) != nil {
				t.Error("its sandbox is left")
			}
		})
	}
	w.eventually("end of the unknown sandbox", func() bool { return w.helper.Box(unknown) == nil })
	for _, row := range rows {
		check(t, w.engine.Remove(t.Context(), row.id, RemoveOptions{Force: true}))
	}
	w.idle()
}

// breakLog puts a file where the directory of a container's log was.
func (w *world) breakLog(id string) {
	w.t.Helper()
	dir := w.engine.dir(id)
	check(w.t, os.RemoveAll(dir))
	check(w.t, os.WriteFile(dir, nil, 0o600))
}

func TestOutputAcrossFrontends(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	var want strings.Builder
	for i := range 10 {
		w.helper.Box(id).Process(id).Print(1, fmt.Sprintf("before %d\n", i))
		w.stop()
		w.helper.Box(id).Process(id).Print(1, fmt.Sprintf("away %d\n", i))
		w.start()
		w.status(id, record.Running)
		fmt.Fprintf(&want, "before %d\naway %d\n", i, i)
	}
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	if got := w.output(id); got != want.String() {
		t.Errorf("%q", got)
	}
}

// An agent that does not answer Hello holds up nobody else.
func TestMuteAgent(t *testing.T) {
	w := newWorld(t)
	mute, fine := w.run("run"), w.run("run")
	w.stop()
	w.helper.Inject("Hello", sandboxtest.Fault{Count: 1, Before: sandboxtest.Hang})
	w.helloLimit = 500 * time.Millisecond
	w.start()
	// Which of the two was mute is not known: one is lost, the other runs.
	w.eventually("the end of one", func() bool {
		return w.record(mute).State.Status == record.Exited || w.record(fine).State.Status == record.Exited
	})
	check(t, w.engine.Remove(t.Context(), mute, RemoveOptions{Force: true}))
	check(t, w.engine.Remove(t.Context(), fine, RemoveOptions{Force: true}))
	w.idle()
}

// vmhelper fails while the frontend takes things up: it begins anew, and nothing is lost.
func TestAdoptionFails(t *testing.T) {
	for _, method := range []string{"CreateSandbox", "Dial", "Hello", "WatchSandboxes", "Info", "ListStores"} {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.run("run"), w.run("run")
			w.stop()
			w.helper.Inject(method, sandboxtest.Fault{Count: 2, Before: sandboxtest.Error(status.Error(codes.Unavailable, "not now"))})
			w.start()
			w.status(a, record.Running)
			w.status(b, record.Running)
			over := w.wait(a, container.WaitConditionNotRunning)
			check(t, w.engine.Stop(t.Context(), a, StopOptions{}))
			if s := over(); s.Code != 143 {
				t.Error(s)
			}
			check(t, w.engine.Stop(t.Context(), b, StopOptions{}))
			w.idle()
		})
	}
}
