package container

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/sandbox"
)

// hammerTime is how long the hammer strikes; ARCA_HAMMER lengthens it.
func hammerTime(t *testing.T) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("ARCA_HAMMER")); err == nil {
		return d
	}
	if testing.Short() {
		return time.Second
	}
	return 4 * time.Second
}

// expected are the refusals that any operation may meet when others come before it.
func expected(err error) bool {
	return err == nil || errdefs.IsConflict(err) || errdefs.IsNotFound(err) || errdefs.IsNotModified(err) || errdefs.IsInvalidArgument(err)
}

// diedUnderIt: the sandbox was killed during the operation.
func diedUnderIt(err error) bool {
	return errors.Is(err, sandbox.ErrDead)
}

// hammer is a set of containers and the clients that strike at them.
type hammer struct {
	w    *world
	seed uint64
	zero int

	mu   sync.Mutex
	ids  []string
	done map[string]int
}

func newHammer(t *testing.T) *hammer {
	h := &hammer{w: newWorld(t), seed: uint64(time.Now().UnixNano()), done: map[string]int{}}
	t.Log("seed", h.seed)
	r := rand.New(rand.NewPCG(h.seed, 0))
	for range 6 {
		check(t, h.create(r))
	}
	return h
}

func (h *hammer) create(r *rand.Rand) error {
	args := []string{"run", "run", "exit 3", "lines 50", "stubborn"}[r.IntN(5)]
	edits := [][]func(*normal.Request){{}, {autoRemove}, {policy("always", 0)}, {policy("on-failure", 3)}}[r.IntN(4)]
	id, err := h.w.make(args, edits...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ids) < 6 {
		h.ids = append(h.ids, id)
	} else {
		h.ids[r.IntN(len(h.ids))] = id
	}
	return nil
}

var strokes = [...]string{
	"start", "start", "start", "stop", "restart", "kill", "pause", "unpause", "remove", "wait", "create", "die", "rename", "changes", "attach",
}

// strike does one random operation.
func (h *hammer) strike(ctx context.Context, r *rand.Rand) (name string, err error) {
	w, e, t := h.w, h.w.engine, h.w.t
	name = strokes[r.IntN(len(strokes))]
	h.mu.Lock()
	id := h.ids[r.IntN(len(h.ids))]
	h.done[name]++
	h.mu.Unlock()
	switch name {
	case "start":
		err = e.Start(t.Context(), id)
	case "stop":
		err = e.Stop(t.Context(), id, StopOptions{Timeout: &h.zero})
	case "restart":
		err = e.Restart(t.Context(), id, StopOptions{Timeout: &h.zero})
	case "kill":
		err = e.Kill(t.Context(), id, []string{"", "TERM", "HUP"}[r.IntN(3)])
	case "pause":
		err = e.Pause(t.Context(), id)
	case "unpause":
		err = e.Unpause(t.Context(), id)
	case "remove":
		err = e.Remove(t.Context(), id, RemoveOptions{Force: r.IntN(2) == 0})
	case "wait":
		var wt *Waiting
		if wt, err = e.Wait(id, []container.WaitCondition{"", "next-exit", "removed"}[r.IntN(3)]); err == nil {
			short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			_, _ = wt.Result(short)
			cancel()
			wt.Close()
		}
	case "create":
		err = h.create(r)
	case "die":
		w.helper.Kill(id)
	case "rename":
		err = e.Rename(t.Context(), id, "name"+string(rune('a'+r.IntN(4))))
	case "changes":
		_, _ = e.Changes(t.Context(), id) // Its sandbox may die under it.
	case "attach":
		var a *Attachment
		if a, err = e.Attach(id, AttachOptions{Stream: true, Stdout: true}); err == nil {
			a.Close()
		}
	}
	return name, err
}

// run strikes with eight clients until ctx ends.
func (h *hammer) run(ctx context.Context, allowed func(error) bool) {
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(h.seed, uint64(n+1)))
			for ctx.Err() == nil {
				if name, err := h.strike(ctx, r); !expected(err) && !diedUnderIt(err) && !allowed(err) {
					h.w.t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
}

// finish removes everything, after which nothing may be left.
func (h *hammer) finish() {
	w := h.w
	w.t.Log(h.done)
	check(w.t, w.sandboxes.Ready(w.t.Context()))
	for _, rec := range w.engine.Records() {
		if err := w.engine.Remove(w.t.Context(), rec.ID, RemoveOptions{Force: true}); !expected(err) {
			w.t.Error(err)
		}
	}
	w.eventually("removal of all", func() bool { return len(w.engine.Records()) == 0 })
	w.idle()
	if got := w.helper.Uppers(); len(got) != 0 {
		w.t.Errorf("writable layers %v are left", got)
	}
}

func never(error) bool { return false }

// Random operations of many clients on few containers, while sandboxes die: afterwards nothing is left, and the indices
// agree.
func TestHammer(t *testing.T) {
	h := newHammer(t)
	ctx, cancel := context.WithTimeout(t.Context(), hammerTime(t))
	defer cancel()
	h.run(ctx, never)
	h.finish()
}

// The same while vmhelper comes and goes.
func TestHammerWithoutHelper(t *testing.T) {
	h := newHammer(t)
	ctx, cancel := context.WithTimeout(t.Context(), hammerTime(t))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
			h.w.helper.Leave()
			time.Sleep(30 * time.Millisecond)
			h.w.helper.Return()
		}
	})
	h.run(ctx, func(err error) bool { return errdefs.IsUnavailable(err) || errdefs.IsCanceled(err) })
	wg.Wait()
	h.finish()
}

// The same with a new frontend every now and then: it takes up what the last one left at any moment.
func TestHammerFrontends(t *testing.T) {
	h := newHammer(t)
	end := time.Now().Add(hammerTime(t))
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		h.run(ctx, never)
		cancel()
		h.w.stop()
		h.w.start()
	}
	h.finish()
}
