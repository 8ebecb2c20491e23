package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const mib = 1 << 20

// options of a run.
type options struct {
	bytes int64 // through logs and attach
	many  int   // containers
	dir   string

	compose string // the program
}

// group is figures that share what they prepare. Those that are asked for are taken in their order.
type group struct {
	figures []figure
	clean   func(ctx context.Context, e *engine) error
}

func groups(o options) []group {
	idle := func(when string) group {
		return group{figures: []figure{
			{name: "RSS of the idle daemon, " + when, unit: "MB", measure: func(ctx context.Context, e *engine) (float64, error) { return rss(ctx, e.pids()) }},
			{name: "CPU of all idle processes, " + when, unit: "%", measure: func(ctx context.Context, e *engine) (float64, error) { return cpu(ctx, e.all()) }},
		}}
	}
	return []group{
		idle("before"),
		{figures: []figure{
			pings(1),
			pings(16),
			commandLine("docker run --rm --net none busybox true", 15, "run", "--rm", "--net", "none", "busybox", "true"),
			withContainer("docker exec true", 15, func(ctx context.Context, e *engine, id string) error {
				_, err := e.docker(ctx, "exec", id, "true")
				return err
			}),
		}},
		manyContainers(o.many),
		output(o.bytes),
		copies(o.dir),
		images(o.dir),
		stacks(o.dir, o.compose),
		streams(o.dir),
		idle("after"),
	}
}

func commandLine(name string, rounds int, args ...string) figure {
	run := func(ctx context.Context, e *engine) (float64, error) {
		return milliseconds(func() error { _, err := e.docker(ctx, args...); return err })
	}
	return figure{name: name, unit: "ms", rounds: rounds, measure: run,
		prepare: func(ctx context.Context, e *engine) error { _, err := run(ctx, e); return err }}
}

const theContainer = "bench-container"

func startOne(ctx context.Context, e *engine) error {
	_, err := e.docker(ctx, "run", "-d", "--net", "none", "--name", theContainer, "busybox", "sleep", "86400")
	return err
}

func removeOne(ctx context.Context, e *engine) error {
	_, err := e.docker(ctx, "rm", "-f", theContainer)
	return err
}

func withContainer(name string, rounds int, do func(ctx context.Context, e *engine, id string) error) figure {
	return figure{name: name, unit: "ms", rounds: rounds, prepare: startOne, clean: removeOne,
		measure: func(ctx context.Context, e *engine) (float64, error) {
			return milliseconds(func() error { return do(ctx, e, theContainer) })
		}}
}

func copies(dir string) group {
	const size = 256 * mib
	source := filepath.Join(dir, "in")
	started := map[*engine]bool{}
	write := func() error {
		f, err := os.Create(source)
		if err != nil {
			return err
		}
		block := []byte(strings.Repeat("0123456789abcdef", mib/16))
		for range size / mib {
			if _, err := f.Write(block); err != nil {
				return err
			}
		}
		return f.Close()
	}
	in := func(ctx context.Context, e *engine) error {
		_, err := e.docker(ctx, "cp", source, theContainer+":/f")
		return err
	}
	prepare := func(ctx context.Context, e *engine) error {
		if started[e] {
			return nil
		}
		started[e] = true
		if err := write(); err != nil {
			return err
		}
		if err := startOne(ctx, e); err != nil {
			return err
		}
		return in(ctx, e)
	}
	return group{
		clean: func(ctx context.Context, e *engine) error {
			if !started[e] {
				return nil
			}
			return removeOne(ctx, e)
		},
		figures: []figure{
			{name: "docker cp in, 256 MiB", unit: "MB/s", more: true, rounds: 5, fills: 2 * size, prepare: prepare,
				measure: func(ctx context.Context, e *engine) (float64, error) {
					return perSecond(size, func() error { return in(ctx, e) })
				}},
			{name: "docker cp out, 256 MiB", unit: "MB/s", more: true, rounds: 5, fills: 2 * size, prepare: prepare,
				measure: func(ctx context.Context, e *engine) (float64, error) {
					return perSecond(size, func() error {
						_, err := e.docker(ctx, "cp", theContainer+":/f", filepath.Join(dir, "out"))
						return err
					})
				}},
		}}
}

// settle is how long a daemon is left alone before it counts as idle.
const settle = 5 * time.Second
