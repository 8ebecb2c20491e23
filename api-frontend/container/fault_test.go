package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
	"github.com/arca-engine/arca/internal/failpoint"
)

// A start that fails at whatever step leaves nothing, has dockerd's exit code, and the next one succeeds.
func TestFailedStart(t *testing.T) {
	refused := sandboxtest.Error(status.Error(codes.Internal, "injected"))
	type row struct {
		args string
		arm  func(w *world)
		code int
		text string
	}
	inject := func(method string, f sandboxtest.Fault) func(w *world) {
		f.Count = 1
		return func(w *world) { w.helper.Inject(method, f) }
	}
	point := func(spec string) func(w *world) {
		return func(w *world) { check(w.t, failpoint.Arm(spec)) }
	}
	for name, tc := range map[string]row{
		"no command":         {"missing", func(*world) {}, 127, `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "missing": executable file not found in $PATH: unknown`},
		"the boot":           {"run", inject("CreateSandbox", sandboxtest.Fault{Before: refused}), 128, "injected"},
		"the boot's answer":  {"run", inject("CreateSandbox", sandboxtest.Fault{After: refused}), 128, "injected"},
		"the start":          {"run", inject("Start", sandboxtest.Fault{Before: refused}), 128, "injected"},
		"the start's answer": {"run", inject("Start", sandboxtest.Fault{After: refused}), 128, "injected"},
		"the stop after it": {"run", func(w *world) {
			inject("Start", sandboxtest.Fault{After: refused})(w)
			inject("StopSandbox", sandboxtest.Fault{Before: refused})(w)
		}, 128, "injected"},
		"failpoint of the boot":     {"run", point("frontend/vmhelper/CreateSandbox=1*error"), 128, "injected failure"},
		"failpoint of its answer":   {"run", point("frontend/vmhelper/CreateSandbox/answer=1*error"), 128, "injected failure"},
		"failpoint of the start":    {"run", point("frontend/agent/Start=1*error"), 128, "injected failure"},
		"failpoint of its answer 2": {"run", point("frontend/agent/Start/answer=1*error"), 128, "injected failure"},
		"the commit":                {"run", point("store/commit=1*error"), 128, "injected failure"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.create(tc.args)
			next, err := w.engine.Wait(id, container.WaitConditionNextExit)
			check(t, err)
			defer next.Close()
			tc.arm(w)
			err = w.engine.Start(t.Context(), id)
			if err == nil {
				t.Fatal("it started")
			}
			_ = failpoint.Arm("")
			if len(next.w.result) != 0 {
				t.Error("a wait for the next exit is over")
			}
			next.Close()
			r := w.record(id)
			if r.State.Status != record.Created || r.State.ExitCode != tc.code || r.State.Error != err.Error() {
				t.Errorf("%+v", r.State)
			}
			if !strings.Contains(err.Error(), tc.text) {
				t.Errorf("told %q, want %q", err, tc.text)
			}
			if w.events.count(id, events.ActionStart)+w.events.count(id, events.ActionDie) != 0 {
				t.Error("events of a run that was none")
			}
			w.idle()
			if tc.code == 127 {
				if !errdefs.IsInvalidArgument(err) || err.Error() != tc.text {
					t.Errorf("told %q", err)
				}
				return
			}
			check(t, w.engine.Start(t.Context(), id))
			check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
			if r := w.record(id); r.State.ExitCode != 143 || r.State.Run != 1 {
				t.Errorf("%+v", r.State)
			}
			w.idle()
		})
	}
}

func TestFailedStartOfAutoRemoved(t *testing.T) {
	w := newWorld(t)
	id := w.create("missing", autoRemove)
	removed := w.wait(id, container.WaitConditionRemoved)
	if w.engine.Start(t.Context(), id) == nil {
		t.Error("it started")
	}
	if s := removed(); s.Code != 127 {
		t.Error(s)
	}
	w.gone(id)
	w.idle()
}

// A restart by the policy that fails is the end; it is not forgotten when the database fails too.
func TestFailedRestart(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", policy("always", 0))
	w.helper.Inject("Start", sandboxtest.Fault{Count: 1, Before: func(context.Context) error {
		_ = failpoint.Arm("store/commit=3*error")
		return status.Error(codes.Internal, "injected")
	}})
	w.helper.Kill(id)
	if r := w.status(id, record.Exited); r.State.ExitCode != 128 || r.State.Error == "" {
		t.Errorf("%+v", r.State)
	}
	w.idle()
}

// The exit is committed when the database can write again, once, and nobody is told before.
func TestExitOutlivesTheDatabase(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	over := w.wait(id, container.WaitConditionNotRunning)
	check(t, failpoint.Arm("store/commit=error"))
	w.helper.Box(id).Process(id).End(3)
	time.Sleep(100 * time.Millisecond) // It must be trying by now.
	if r := w.record(id); r.State.Status != record.Running || w.events.count(id, events.ActionDie) != 0 {
		t.Errorf("%+v", r.State)
	}
	check(t, failpoint.Arm(""))
	if s := over(); s.Code != 3 {
		t.Error(s)
	}
	w.status(id, record.Exited)
	if n := w.events.count(id, events.ActionDie); n != 1 {
		t.Errorf("%d deaths", n)
	}
	w.idle()
}

// Or by the next frontend, when this one ends first.
func TestExitOutlivesTheFrontend(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	check(t, failpoint.Arm("store/commit=error"))
	w.helper.Box(id).Process(id).Print(1, "last words")
	w.helper.Box(id).Process(id).End(3)
	time.Sleep(50 * time.Millisecond)
	w.stop()
	check(t, failpoint.Arm(""))
	w.start()
	if r := w.status(id, record.Exited); r.State.ExitCode != 3 || w.output(id) != "last words" {
		t.Errorf("%+v, %q", r.State, w.output(id))
	}
	w.idle()
}

// Every failpoint of the frontend's edges, once with an error and once with a delay: whatever the client is told, nothing
// is left and the container can be removed.
func TestFailpoints(t *testing.T) {
	points := []string{"store/commit", "store/committed", "frontend/agent/stream"}
	for _, m := range []string{"CreateSandbox", "StopSandbox", "Dial", "RemoveUpper", "ListSandboxes"} {
		points = append(points, "frontend/vmhelper/"+m, "frontend/vmhelper/"+m+"/answer")
	}
	for _, m := range []string{"Start", "Signal", "Pause", "Resume"} {
		points = append(points, "frontend/agent/"+m, "frontend/agent/"+m+"/answer")
	}
	points = append(points, "frontend/agent/Events")
	w := newWorld(t)
	for _, point := range points {
		for _, action := range []string{"1*error", "1-1*error", "delay:10ms"} {
			t.Run(point+"="+action, func(t *testing.T) {
				id := w.create("run")
				check(t, failpoint.Arm(point+"="+action))
				zero := 0
				for _, f := range []func() error{
					func() error { return w.engine.Start(t.Context(), id) },
					func() error { return w.engine.Pause(t.Context(), id) },
					func() error { return w.engine.Unpause(t.Context(), id) },
					func() error { return w.engine.Stop(t.Context(), id, StopOptions{Timeout: &zero}) },
					func() error { return w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}) },
				} {
					if err := f(); err != nil && action == "delay:10ms" {
						t.Error(err)
					}
				}
				check(t, failpoint.Arm(""))
				if err := w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
					t.Error(err)
				}
				w.idle()
			})
		}
	}
}

// Attaches and waits of clients that leave keep nothing.
func TestAbortedWaits(t *testing.T) {
	w := newWorld(t)
	id := w.run("run")
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	for i := range 1000 {
		wt, err := w.engine.Wait(id, container.WaitConditionRemoved)
		check(t, err)
		a, err := w.engine.Attach(id, AttachOptions{Stream: true, Stdout: true, Stderr: true})
		check(t, err)
		if i%2 == 0 {
			wt.Close()
			a.Close()
			continue
		}
		wg.Go(func() {
			defer wt.Close()
			if _, err := wt.Result(ctx); err == nil {
				t.Error("the wait had a result")
			}
		})
		wg.Go(func() { _ = a.Run(ctx, &silent{}) })
	}
	cancel(errors.New("the client left"))
	wg.Wait()
	w.consistent()
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	w.idle()
}

// silent is a client that takes everything and sends nothing.
type silent struct{}

func (*silent) Read([]byte) (int, error)    { return 0, errors.New("closed") }
func (*silent) Write(b []byte) (int, error) { return len(b), nil }
func (*silent) Close() error                { return nil }
func (*silent) CloseWrite() error           { return nil }

// The round trips of a start and of an exit are counted: none may creep in unseen.
func TestRoundTrips(t *testing.T) {
	w := newWorld(t)
	id := w.create("run", func(r *normal.Request) { r.HostConfig.AutoRemove = false })
	w.helper.ForgetCalls()
	check(t, w.engine.Start(t.Context(), id))
	w.eventually("the streams", func() bool { return w.helper.Calls()["Dial"] >= 2 })
	t.Log("start:", w.helper.Calls())
	if got := fmt.Sprint(w.helper.Calls()); got != "map[CreateSandbox:1 Dial:2 Events:1 Start:1]" {
		t.Errorf("a start calls %s", got)
	}
	w.helper.ForgetCalls()
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	t.Log("stop:", w.helper.Calls())
	if got := fmt.Sprint(w.helper.Calls()); got != "map[Signal:1 StopSandbox:1]" {
		t.Errorf("a stop calls %s", got)
	}
	w.helper.ForgetCalls()
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	if got := fmt.Sprint(w.helper.Calls()); got != "map[RemoveUpper:1]" {
		t.Errorf("a removal calls %s", got)
	}
}
