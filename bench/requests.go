package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// requests tells how many requests a second an engine answers on so many connections.
func requests(name, path string, connections int) figure {
	return figure{name: name, unit: "req/s", more: true, rounds: 3, measure: func(ctx context.Context, e *engine) (float64, error) {
		const length = 2 * time.Second
		counts := make([]int, connections)
		start := time.Now()
		g, ctx := errgroup.WithContext(ctx)
		for i := range connections {
			g.Go(func() error {
				for time.Since(start) < length {
					if _, err := e.call(ctx, "GET", path, nil); err != nil {
						return err
					}
					counts[i]++
				}
				return nil
			})
		}
		err := g.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return float64(total) / time.Since(start).Seconds(), err
	}}
}
