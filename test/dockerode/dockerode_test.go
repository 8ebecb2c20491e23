//go:build integration

package dockerode

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox"}}, func(i *harness.Instance) { arca = i })
}

// TestDockerode needs the modules that build/test-dockerode.sh installs.
func TestDockerode(t *testing.T) {
	dir := os.Getenv("ARCA_DOCKERODE")
	if dir == "" {
		t.Fatal("ARCA_DOCKERODE does not say where dockerode is installed: run make test-dockerode")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(dir, "client.js"))
	cmd.Env = append(os.Environ(), "ARCA_SOCKET="+arca.Socket())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	checks := 0
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "ok "); ok {
			checks++
			t.Run(name, func(*testing.T) {})
		} else {
			t.Error(s.Text())
		}
	}
	if err != nil || checks == 0 {
		t.Errorf("%d checks passed: %v", checks, err)
	}
}
