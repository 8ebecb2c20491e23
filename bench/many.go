package main

import (
	"context"
	"fmt"
)

// manyContainers is a group of what n running containers cost. It starts them when a figure first needs them.
func manyContainers(n int) group {
	name := func(i int) string { return fmt.Sprintf("bench-many-%d", i) }
	started := map[*engine]bool{}
	before := map[*engine]float64{}
	start := func(ctx context.Context, e *engine) (err error) {
		if started[e] {
			return nil
		}
		if before[e], err = proportional(e.all()); err != nil {
			return err
		}
		started[e] = true
		for i := range n {
			if _, err := e.docker(ctx, "run", "-d", "--net", "none", "--name", name(i), "busybox", "sleep", "86400"); err != nil {
				return err
			}
		}
		return nil
	}
	remove := func(ctx context.Context, e *engine) error {
		if !started[e] {
			return nil
		}
		started[e] = false
		args := []string{"rm", "-f"}
		for i := range n {
			args = append(args, name(i))
		}
		_, err := e.docker(ctx, args...)
		return err
	}
	running := func(f figure) figure {
		f.name = fmt.Sprintf("%s, %d running", f.name, n)
		f.prepare = start
		return f
	}
	request := func(name, path string, rounds int) figure {
		return running(figure{name: name, unit: "ms", rounds: rounds, measure: func(ctx context.Context, e *engine) (float64, error) {
			return milliseconds(func() error { _, err := e.call(ctx, "GET", path, nil); return err })
		}})
	}
	ps := commandLine("docker ps", 11, "ps")
	stats := commandLine("docker stats --no-stream", 1, "stats", "--no-stream")
	return group{clean: remove, figures: []figure{
		{name: fmt.Sprintf("%d starts, serial docker run -d", n), unit: "s", measure: func(ctx context.Context, e *engine) (float64, error) {
			ms, err := milliseconds(func() error { return start(ctx, e) })
			return ms / 1000, err
		}},
		running(ps),
		request("GET /containers/json", "/containers/json", 51),
		request("GET /containers/NAME/json", "/containers/"+name(0)+"/json", 51),
		request("GET /containers/NAME/stats, one shot", "/containers/"+name(0)+"/stats?stream=0&one-shot=1", 3),
		running(stats),
		running(figure{name: "RSS of the daemon", unit: "MB", measure: func(ctx context.Context, e *engine) (float64, error) { return rss(ctx, e.pids()) }}),
		running(figure{name: "CPU of all processes", unit: "%", measure: func(ctx context.Context, e *engine) (float64, error) { return cpu(ctx, e.all()) }}),
		running(figure{name: "memory (PSS) for each container", unit: "MB", measure: func(_ context.Context, e *engine) (float64, error) {
			after, err := proportional(e.all())
			return (after - before[e]) / float64(n), err
		}}),
		running(figure{name: "docker rm -f of all", unit: "s", measure: func(ctx context.Context, e *engine) (float64, error) {
			ms, err := milliseconds(func() error { return remove(ctx, e) })
			return ms / 1000, err
		}}),
	}}
}
