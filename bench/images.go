package main

import (
	"context"
	"os"
	"path/filepath"
)

// images is a group of what moves an image of 100 MB.
func images(dir string) group {
	const image = "big100"
	archive := filepath.Join(dir, image+".tar")
	pull := func(ctx context.Context, e *engine) error { _, err := e.docker(ctx, "pull", "-q", image); return err }
	remove := func(ctx context.Context, e *engine) error { _, err := e.docker(ctx, "rmi", "-f", image); return err }
	save := func(ctx context.Context, e *engine) error {
		_, err := e.docker(ctx, "save", "-o", archive, image)
		return err
	}
	timed := func(name string, prepare, do, after func(context.Context, *engine) error) figure {
		return figure{name: name, unit: "ms", rounds: 5, fills: 400 * mib, prepare: prepare, measure: func(ctx context.Context, e *engine) (float64, error) {
			ms, err := milliseconds(func() error { return do(ctx, e) })
			if err == nil && after != nil {
				err = after(ctx, e)
			}
			return ms, err
		}}
	}
	return group{clean: remove, figures: []figure{
		timed("pull and unpack 100 MB, cold", remove, pull, remove),
		timed("docker save of 100 MB", pull, save, nil),
		timed("docker load of 100 MB", func(ctx context.Context, e *engine) error {
			if _, err := os.Stat(archive); err != nil { // both load the same archive
				if err := pull(ctx, e); err != nil {
					return err
				}
				if err := save(ctx, e); err != nil {
					return err
				}
			}
			return remove(ctx, e)
		}, func(ctx context.Context, e *engine) error {
			_, err := e.docker(ctx, "load", "-q", "-i", archive)
			return err
		}, remove),
	}}
}
