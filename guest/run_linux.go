package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/arca-engine/arca/guest/agent"
	"github.com/arca-engine/arca/guest/initproc"
	"github.com/arca-engine/arca/guest/reaper"
)

// settleTime is how long an agent is taken for one that ends soon.
const settleTime = 5 * time.Second

// The first thread is the one by which others know the process: /proc/PID/ns is its namespaces. So it runs nothing but
// main, and no goroutine takes it into the namespaces of a container.
func init() { runtime.LockOSThread() }

// run boots the sandbox and serves until it is shut down.
func run() error {
	// Most agents live for a moment only, and then collecting garbage is a good part of their work. One that lives on waits
	// much more than it works, and gives its memory back.
	debug.SetGCPercent(400)
	defer time.AfterFunc(settleTime, func() {
		debug.SetGCPercent(50)
		debug.FreeOSMemory()
	}).Stop()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if err := os.Setenv("PATH", "/arca/bin"); err != nil {
		return err
	}
	world, err := initproc.Boot(ctx)
	if err != nil {
		return err
	}
	r, err := reaper.New()
	if err != nil {
		return err
	}
	go r.Run(ctx) // Ends with the process: the last children are reaped until then.
	a, err := agent.New(ctx, world, r)
	if err != nil {
		return err
	}
	return errors.Join(a.Serve(world.Listener(), world.Ready), world.End())
}
