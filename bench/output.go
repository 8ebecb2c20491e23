package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
)

// output is a group of what carries n bytes between a process and the CLI.
func output(n int64) group {
	script := fmt.Sprintf("yes 0123456789012345678901234567890123456789012345678901234567890 | head -c %d", n)
	size := fmt.Sprintf("%d MiB", n/mib)
	run := []string{"run", "--net", "none", "--name", theContainer, "busybox", "sh", "-c", script}
	made := map[*engine]bool{}
	clean := func(ctx context.Context, e *engine) error {
		if !made[e] {
			return nil
		}
		made[e] = false
		return removeOne(ctx, e)
	}
	mbps := func(name string, fills int64, prepare func(context.Context, *engine) error, measure func(context.Context, *engine) error) figure {
		return figure{name: name + ", " + size, unit: "MB/s", more: true, fills: fills, prepare: prepare, measure: func(ctx context.Context, e *engine) (float64, error) {
			return perSecond(n, func() error { return measure(ctx, e) })
		}}
	}
	return group{clean: clean, figures: []figure{
		mbps("attached run", 5*n/2, nil, func(ctx context.Context, e *engine) error {
			made[e] = true
			return drain(e.command(ctx, run...), n)
		}),
		mbps("docker logs", 0, func(ctx context.Context, e *engine) error {
			if made[e] {
				return nil
			}
			made[e] = true
			return drain(e.command(ctx, run...), n)
		}, func(ctx context.Context, e *engine) error {
			return drain(e.command(ctx, "logs", theContainer), n)
		}),
		mbps("docker logs -f of a process that writes", 5*n/2, clean, func(ctx context.Context, e *engine) error {
			made[e] = true
			if _, err := e.docker(ctx, append([]string{"run", "-d"}, run[1:]...)...); err != nil {
				return err
			}
			return drain(e.command(ctx, "logs", "-f", theContainer), n)
		}),
		mbps("stdin of run -i", 0, nil, func(ctx context.Context, e *engine) error {
			cmd := e.command(ctx, "run", "--rm", "-i", "--net", "none", "busybox", "sh", "-c", "cat >/dev/null; echo end")
			cmd.Stdin = io.LimitReader(zeroes{}, n)
			return drain(cmd, int64(len("end\n")))
		}),
	}}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// drain runs a command that has n bytes to tell.
func drain(cmd *exec.Cmd, n int64) error {
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
		return fmt.Errorf("%v: %d bytes came, %d were written", cmd.Args, got, n)
	}
	return nil
}
