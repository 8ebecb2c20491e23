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
	"github.com/arca-engine/arca/api-frontend/container/record"
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

// Random operations of many clients on few containers, while sandboxes die and vmhelper comes and goes: afterwards nothing
// is left, and the indices agree.
func TestHammer(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var ids []string
	pick := func(r *rand.Rand) string {
		mu.Lock()
		defer mu.Unlock()
		return ids[r.IntN(len(ids))]
	}
	make1 := func(r *rand.Rand) {
		args := []string{"run", "run", "exit 3", "lines 50", "stubborn"}[r.IntN(5)]
		edits := [][]func(*normal.Request){{}, {autoRemove}, {policy("always", 0)}, {policy("on-failure", 3)}}[r.IntN(4)]
		id := w.create(args, edits...)
		mu.Lock()
		defer mu.Unlock()
		if len(ids) < 6 {
			ids = append(ids, id)
		} else {
			ids[r.IntN(len(ids))] = id
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	first := rand.New(rand.NewPCG(seed, 0))
	for range 6 {
		make1(first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), hammerTime(t))
	defer cancel()
	zero := 0
	done := map[string]int{}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(n+1)))
			for ctx.Err() == nil {
				id := pick(r)
				name, op := [...]string{"start", "start", "start", "stop", "restart", "kill", "pause", "unpause", "remove", "wait", "create", "die", "rename", "changes", "attach"}[r.IntN(15)], error(nil)
				switch name {
				case "start":
					op = w.engine.Start(t.Context(), id)
				case "stop":
					op = w.engine.Stop(t.Context(), id, StopOptions{Timeout: &zero})
				case "restart":
					op = w.engine.Restart(t.Context(), id, StopOptions{Timeout: &zero})
				case "kill":
					op = w.engine.Kill(t.Context(), id, []string{"", "TERM", "HUP"}[r.IntN(3)])
				case "pause":
					op = w.engine.Pause(t.Context(), id)
				case "unpause":
					op = w.engine.Unpause(t.Context(), id)
				case "remove":
					op = w.engine.Remove(t.Context(), id, RemoveOptions{Force: r.IntN(2) == 0})
				case "wait":
					wt, err := w.engine.Wait(id, []container.WaitCondition{"", "next-exit", "removed"}[r.IntN(3)])
					if err == nil {
						short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
						_, _ = wt.Result(short)
						cancel()
						wt.Close()
					}
					op = err
				case "create":
					make1(r)
				case "die":
					w.helper.Kill(id)
				case "rename":
					op = w.engine.Rename(t.Context(), id, "name"+string(rune('a'+r.IntN(4))))
				case "changes":
					_, _ = w.engine.Changes(t.Context(), id) // Its sandbox may die under it.
				case "attach":
					a, err := w.engine.Attach(id, AttachOptions{Stream: true, Stdout: true})
					if err == nil {
						a.Close()
					}
					op = err
				}
				mu.Lock()
				done[name]++
				mu.Unlock()
				if !expected(op) && !diedUnderIt(op) {
					t.Errorf("%s: %v", name, op)
				}
			}
		})
	}
	wg.Wait()
	t.Log(done)
	for _, rec := range w.engine.Records() {
		if err := w.engine.Remove(t.Context(), rec.ID, RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) && rec.State.Status != record.Removing {
			t.Error(err)
		}
	}
	w.eventually("removal of all", func() bool { return len(w.engine.Records()) == 0 })
	w.idle()
	if got := w.helper.Uppers(); len(got) != 0 {
		t.Errorf("writable layers %v are left", got)
	}
}
