//go:build integration

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arca-engine/arca/internal/failpoint"
	"github.com/arca-engine/arca/test/harness"
)

var (
	arca   *harness.Instance
	folder string // where points are armed.
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("/var/tmp", "arca-points-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	// Every daemon takes points away, whatever its uid.
	if err := os.Chmod(folder, 0o777); err != nil { //nolint:gosec // a test's folder
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(failpoint.Env, "dir:"+folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return harness.Run(m, harness.Options{Images: []string{"busybox", "hello-world", "nginx"}}, func(i *harness.Instance) { arca = i })
}

func file(point string) string { return filepath.Join(folder, failpoint.FileName(point)) }

// arm arms a point of whichever process hits it next.
func arm(t *testing.T, point, action string) {
	t.Helper()
	_ = os.Remove(file(point) + ".fired")
	temp := filepath.Join(folder, "new.fired")                        // Nobody reads such a name before it is complete.
	if err := os.WriteFile(temp, []byte(action), 0o666); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	if err := os.Rename(temp, file(point)); err != nil {
		t.Fatal(err)
	}
}

// disarm tells whether the point was reached, and whether it acted. What an agent does is not seen from outside: it
// counts as done.
func disarm(t *testing.T, point string) (reached, fired bool) {
	t.Helper()
	reached = os.Remove(file(point)) != nil
	_, err := os.Stat(file(point) + ".fired")
	return reached, err == nil || strings.HasPrefix(point, "guest/") && reached
}
