package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// stacks is a group of what a stack of five services on a network of its own costs with Docker Compose 2, which is the
// one that an old dockerd speaks with, too.
func stacks(dir, program string) group {
	const services = 5
	compose := func(ctx context.Context, e *engine, args ...string) error {
		project := filepath.Join(dir, "stack")
		cmd := exec.CommandContext(ctx, program, append([]string{"--project-name", "bench-stack", "--project-directory", project, "--file", filepath.Join(project, "compose.yaml")}, args...)...)
		cmd.Env = e.command(ctx).Env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: docker compose %s: %w: %s", e.name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
		}
		return nil
	}
	up := func(ctx context.Context, e *engine) error { return compose(ctx, e, "up", "--detach") }
	down := func(ctx context.Context, e *engine) error { return compose(ctx, e, "down", "--timeout", "10") }
	prepare := func(ctx context.Context, e *engine) error {
		var yaml strings.Builder
		yaml.WriteString("services:\n")
		for i := range services {
			fmt.Fprintf(&yaml, "  s%d:\n    image: busybox\n    init: true\n    command: [sleep, inf]\n", i)
		}
		project := filepath.Join(dir, "stack")
		if err := errors.Join(os.MkdirAll(project, 0o755), os.WriteFile(filepath.Join(project, "compose.yaml"), []byte(yaml.String()), 0o644)); err != nil {
			return err
		}
		// Once around, so that nothing is the first of its kind.
		return errors.Join(up(ctx, e), down(ctx, e))
	}
	// timed measures one step, between two that are not measured.
	timed := func(name string, before, do, after func(context.Context, *engine) error) figure {
		return figure{name: fmt.Sprintf("%s, %d services", name, services), unit: "ms", rounds: 5, prepare: prepare,
			measure: func(ctx context.Context, e *engine) (float64, error) {
				if err := before(ctx, e); err != nil {
					return 0, err
				}
				ms, err := milliseconds(func() error { return do(ctx, e) })
				return ms, errors.Join(err, after(ctx, e))
			}}
	}
	nothing := func(context.Context, *engine) error { return nil }
	clean := func(ctx context.Context, e *engine) error {
		if _, err := os.Stat(filepath.Join(dir, "stack")); err != nil {
			return nil //nolint:nilerr // no figure of the group was asked for
		}
		return down(ctx, e)
	}
	return group{clean: clean, figures: []figure{
		timed("docker compose up -d", nothing, up, down),
		timed("docker compose down", up, down, nothing),
	}}
}
