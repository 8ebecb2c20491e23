//go:build integration

package compose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arca-engine/arca/test/harness"
)

var (
	arca    *harness.Instance
	clients []client
)

// client is one version of Compose, installed as the docker CLI's plugin in a configuration of its own.
type client struct{ name, config string }

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox", "counter", "redis", "mariadb", "nginx", "wordpress"}}, func(i *harness.Instance) {
		arca = i
		if err := install(i); err != nil {
			fmt.Fprintln(os.Stderr, "compose:", err)
		}
	})
}

func install(i *harness.Instance) error {
	for line := range strings.Lines(os.Getenv("ARCA_COMPOSE")) {
		name, program, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		config := filepath.Join(i.Config, name)
		plugins := filepath.Join(config, "cli-plugins")
		if err := errors.Join(os.MkdirAll(plugins, 0o755), os.Symlink(program, filepath.Join(plugins, "docker-compose"))); err != nil {
			return err
		}
		clients = append(clients, client{name, config})
	}
	return nil
}

// each runs a test with every client.
func each(t *testing.T, test func(*testing.T, client)) {
	t.Helper()
	t.Parallel()
	if len(clients) == 0 {
		t.Fatal("ARCA_COMPOSE names no client: run make test-compose")
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}
