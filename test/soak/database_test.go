//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// TestDatabase: a database in a named volume is killed again and again under write load, by killing its container, its
// agent, the worker, the keeper and the frontend in turn; what it said was committed is there.
func TestDatabase(t *testing.T) {
	volume := arca.Volume(t)
	name := arca.Start(t, "-v", volume+":/var/lib/mysql", "-e", "MARIADB_ROOT_PASSWORD=x", "-e", "MARIADB_DATABASE=d", "mariadb")
	waitDatabase(t, name)
	sql(t, name, "CREATE TABLE IF NOT EXISTS d.t (n INT PRIMARY KEY) ENGINE=InnoDB")
	committed := 0
	for i := range scaled(t, 20) {
		writer := write(t, name, committed)
		kind := []string{"container", "agent", "worker", "keeper", "frontend"}[i%5]
		harness.Eventually(t, time.Minute, func() error {
			if writer.committed() < committed+50 {
				return fmt.Errorf("%d rows are committed before %s is killed", writer.committed()-committed, kind)
			}
			return nil
		})
		switch kind {
		case "container":
			arca.Docker(t, "kill", name).OK()
			arca.Docker(t, "wait", name).OK().Out("137\n")
		case "agent":
			harness.Kill(t, kind, harness.Parent(arca.ContainerPID(t, name)))
			arca.Docker(t, "wait", name).OK().Out("137\n") // a start before its end is seen would find it running
		case "worker":
			harness.Kill(t, kind, arca.Worker(t))
		case "keeper":
			harness.Kill(t, kind, arca.DaemonPID("vmhelper"))
		case "frontend":
			harness.Kill(t, kind, arca.DaemonPID("frontend"))
		}
		committed = writer.stop()
		harness.Eventually(t, time.Minute, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := arca.Command(ctx, "start", name).CombinedOutput()
			if err != nil {
				return fmt.Errorf("start after killing the %s: %w: %s", kind, err, out)
			}
			return nil
		})
		waitDatabase(t, name)
		if got := sql(t, name, "SELECT COUNT(*) FROM d.t WHERE n < "+fmt.Sprint(committed)); got != fmt.Sprint(committed) {
			t.Fatalf("after killing the %s: %s rows of %d committed ones", kind, got, committed)
		}
		// A row beyond may have been committed though nobody was told.
		sql(t, name, "DELETE FROM d.t WHERE n >= "+fmt.Sprint(committed))
	}
}

func waitDatabase(t *testing.T, name string) {
	t.Helper()
	harness.Eventually(t, 2*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		out, err := arca.Command(ctx, "exec", name, "mariadb", "-px", "-N", "-e", "SELECT 1").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "1" {
			return errors.Join(err, errors.New(string(out)))
		}
		return nil
	})
}

func sql(t *testing.T, name, statement string) string {
	t.Helper()
	return arca.Docker(t, "exec", name, "mariadb", "-px", "-N", "-e", statement).OK().Line()
}
