package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/arca-engine/arca/guest/agent"
	"github.com/arca-engine/arca/guest/initproc"
	"github.com/arca-engine/arca/guest/reaper"
)

// run boots the sandbox and serves until it is shut down.
func run() error {
	debug.SetGCPercent(50) // An agent waits much more than it works.
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
	return a.Serve(world.Listener(), world.Ready)
}
