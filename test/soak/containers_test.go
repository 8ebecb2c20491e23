//go:build soak

package soak

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/test/harness"
)

// TestContainersInParallel: 5 x 100 containers, made and force-removed in parallel, leave the machine as it was.
func TestContainersInParallel(t *testing.T) {
	arca.Docker(t, "run", "--rm", "busybox", "true").OK()
	before := arca.Take(t)
	prefix := harness.Name(t)
	for round := range 5 {
		var g errgroup.Group
		g.SetLimit(16)
		for i := range scaled(t, 100) {
			g.Go(func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				name := fmt.Sprintf("%s-%d-%d", prefix, round, i)
				if out, err := arca.Command(ctx, "run", "-d", "--name", name, "busybox", "sleep", "1000").CombinedOutput(); err != nil {
					return fmt.Errorf("run %s: %w: %s", name, err, out)
				}
				if out, err := arca.Command(ctx, "rm", "-f", name).CombinedOutput(); err != nil {
					return fmt.Errorf("remove %s: %w: %s", name, err, out)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	before.Back(t, arca, 2)
}
