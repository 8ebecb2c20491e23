//go:build integration

package testcontainers

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox", "counter", "redis", "nginx"}}, func(i *harness.Instance) { arca = i })
}

// TestTestcontainers shows each test of the client as one of its own.
func TestTestcontainers(t *testing.T) {
	program := os.Getenv("ARCA_TESTCONTAINERS")
	if program == "" {
		t.Fatal("ARCA_TESTCONTAINERS does not say where the client's tests are: run make test-testcontainers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.v", "-test.timeout", "4m")
	// Its reaper is an image of Docker Hub, which is not there. On a machine that is a container itself it would look for
	// published ports at the gateway of Docker's bridge, which without a kernel uplink is no address of the machine.
	cmd.Env = append(arca.Environment(), "TESTCONTAINERS_RYUK_DISABLED=true", "TESTCONTAINERS_HOST_OVERRIDE=localhost")
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	passed := 0
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		if name, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), "--- PASS: "); ok {
			passed++
			t.Run(strings.Fields(name)[0], func(*testing.T) {})
		}
	}
	if err != nil || passed == 0 {
		t.Errorf("%d tests passed: %v\n%s", passed, err, out)
	}
}
