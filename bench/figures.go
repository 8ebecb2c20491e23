package main

import (
	"context"
	"fmt"
	"io"
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
}

func figures(o options) []figure {
	all := []figure{
		pings(1),
		pings(16),
		commandLine("docker run --rm --net none busybox true", 15, "run", "--rm", "--net", "none", "busybox", "true"),
		withContainer("docker exec true", 15, func(ctx context.Context, e *engine, id string) error {
			_, err := e.docker(ctx, "exec", id, "true")
			return err
		}),
	}
	all = append(all, manyContainers(o.many)...)
	all = append(all, output(o.bytes)...)
	all = append(all, copies(o.dir)...)
	all = append(all, pull(), idle("RSS of the idle daemon", "MB", rss), idle("CPU of the idle daemon", "%", cpu))
	return all
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

// manyContainers starts them as the first figure and removes them as the last.
func manyContainers(n int) []figure {
	name := func(i int) string { return fmt.Sprintf("bench-many-%d", i) }
	return []figure{
		{name: fmt.Sprintf("%d starts, serial docker run -d", n), unit: "s", measure: func(ctx context.Context, e *engine) (float64, error) {
			ms, err := milliseconds(func() error {
				for i := range n {
					if _, err := e.docker(ctx, "run", "-d", "--net", "none", "--name", name(i), "busybox", "sleep", "86400"); err != nil {
						return err
					}
				}
				return nil
			})
			return ms / 1000, err
		}},
		commandLine(fmt.Sprintf("docker ps, %d running", n), 11, "ps"),
		{name: fmt.Sprintf("GET /containers/json, %d running", n), unit: "ms", rounds: 51, measure: func(ctx context.Context, e *engine) (float64, error) {
			return milliseconds(func() error { _, err := e.call(ctx, "GET", "/containers/json", nil); return err })
		}},
		{name: fmt.Sprintf("docker rm -f of %d", n), unit: "s", measure: func(ctx context.Context, e *engine) (float64, error) {
			args := []string{"rm", "-f"}
			for i := range n {
				args = append(args, name(i))
			}
			ms, err := milliseconds(func() error { _, err := e.docker(ctx, args...); return err })
			return ms / 1000, err
		}},
	}
}

// output measures an attached run and then the logs that it left.
func output(n int64) []figure {
	drain := func(ctx context.Context, e *engine, args ...string) (float64, error) {
		return perSecond(n, func() error {
			cmd := e.command(ctx, args...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				return err
			}
			if err := cmd.Start(); err != nil {
				return err
			}
			got, err := io.Copy(io.Discard, out)
			if err != nil {
				return err
			}
			if err := cmd.Wait(); err != nil {
				return err
			}
			if got != n {
				return fmt.Errorf("%s: docker %s: %d bytes came, %d were written", e.name, args[0], got, n)
			}
			return nil
		})
	}
	script := fmt.Sprintf("yes 0123456789012345678901234567890123456789012345678901234567890 | head -c %d", n)
	size := fmt.Sprintf("%d MiB", n/mib)
	return []figure{
		{name: "attached run, " + size, unit: "MB/s", more: true, measure: func(ctx context.Context, e *engine) (float64, error) {
			return drain(ctx, e, "run", "--net", "none", "--name", theContainer, "busybox", "sh", "-c", script)
		}},
		{name: "docker logs, " + size, unit: "MB/s", more: true, clean: removeOne, measure: func(ctx context.Context, e *engine) (float64, error) {
			return drain(ctx, e, "logs", theContainer)
		}},
	}
}

func copies(dir string) []figure {
	const size = 256 * mib
	source := filepath.Join(dir, "in")
	return []figure{
		{name: "docker cp in, 256 MiB", unit: "MB/s", more: true, rounds: 3,
			prepare: func(ctx context.Context, e *engine) error {
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
				if err := f.Close(); err != nil {
					return err
				}
				return startOne(ctx, e)
			},
			measure: func(ctx context.Context, e *engine) (float64, error) {
				return perSecond(size, func() error { _, err := e.docker(ctx, "cp", source, theContainer+":/f"); return err })
			}},
		{name: "docker cp out, 256 MiB", unit: "MB/s", more: true, rounds: 3, clean: removeOne,
			measure: func(ctx context.Context, e *engine) (float64, error) {
				return perSecond(size, func() error { _, err := e.docker(ctx, "cp", theContainer+":/f", filepath.Join(dir, "out")); return err })
			}},
	}
}

func pull() figure {
	return figure{name: "pull and unpack 100 MB, cold", unit: "ms", rounds: 3,
		measure: func(ctx context.Context, e *engine) (float64, error) {
			ms, err := milliseconds(func() error { _, err := e.docker(ctx, "pull", "-q", "big100"); return err })
			if err != nil {
				return 0, err
			}
			_, err = e.docker(ctx, "rmi", "-f", "big100")
			return ms, err
		}}
}

func idle(name, unit string, read func(ctx context.Context, pids []int) (float64, error)) figure {
	return figure{name: name, unit: unit, measure: func(ctx context.Context, e *engine) (float64, error) { return read(ctx, e.pids()) }}
}

// settle is how long a daemon is left alone before it counts as idle.
const settle = 5 * time.Second
