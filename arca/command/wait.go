package command

import (
	"context"
	"fmt"
	"time"
)

// waitFor tries check until it succeeds; the last failure is told when the time is over.
func waitFor(ctx context.Context, most time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", most, what, err)
		case <-tick.C:
		}
	}
}
