//go:build integration

package compose

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// TestSecretsAndConfigs: secrets and configurations from files, from the environment and from the project file itself
// are where the service looks for them.
func TestSecretsAndConfigs(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, `
services:
  app:
    image: counter
    ports: ["8080"]
    env_file: [app.env]
    secrets:
      - password
      - source: token
        target: renamed
    configs:
      - source: settings
        target: /etc/app/settings.conf
      - source: inline
        target: /etc/app/inline.conf
    tmpfs: [/scratch]
secrets:
  password:
    file: ./password
  token:
    environment: PROJECT_TOKEN
configs:
  settings:
    file: ./settings.conf
  inline:
    content: |
      project = ${COMPOSE_PROJECT_NAME}
`)
		p.write("password", "open sesame\n")
		p.write("settings.conf", "depth = 3\n")
		p.write("app.env", "COLOUR=blue\n")
		p.write(".env", "PROJECT_TOKEN=from the environment\n")
		p.up()
		base := p.url("app", "8080")
		for path, want := range map[string]string{
			"/run/secrets/password":  "open sesame\n",
			"/run/secrets/renamed":   "from the environment",
			"/etc/app/settings.conf": "depth = 3\n",
			"/etc/app/inline.conf":   "project = " + p.name + "\n",
		} {
			if got := ask(t, base, "/file", "path", path); strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("%s holds %q, want %q", path, got, want)
			}
		}
		if got := ask(t, base, "/env", "name", "COLOUR"); got != "blue" {
			t.Errorf("COLOUR is %q", got)
		}
		p.compose("cp", "app:/etc/app/settings.conf", p.dir+"/back").OK()
		p.compose("cp", p.dir+"/back", "app:/srv/there").OK()
		if got := p.exec("app", "cat", "/srv/there"); got != "depth = 3" {
			t.Errorf("a file that went to and fro holds %q", got)
		}
	})
}

// TestWatch: `watch` brings changed files into the running container, and restarts it where the project says so.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, `
services:
  app:
    image: counter
    build: .
    ports: ["8080"]
    develop:
      watch:
        - action: sync
          path: ./site
          target: /srv/site
        - action: sync+restart
          path: ./conf
          target: /srv/conf
`)
		p.write("site/index.html", "first\n")
		p.write("conf/app.conf", "first\n")
		p.up("--no-build")
		watcher := p.follow("watch", "--no-up")
		watcher.until("Watch enabled")
		started := arca.Inspect(t, p.ids("app")[0], "{{.State.StartedAt}}")
		p.write("site/index.html", "second\n")
		synced := func(path, want string) {
			t.Helper()
			harness.Eventually(t, time.Minute, func() error {
				if r := p.compose("exec", "-T", "app", "cat", path); r.Line() != want {
					return fmt.Errorf("%s holds %q, want %q: %s", path, r.Stdout, want, r.Stderr)
				}
				return nil
			})
		}
		synced("/srv/site/index.html", "second")
		if got := arca.Inspect(t, p.ids("app")[0], "{{.State.StartedAt}}"); got != started {
			t.Error("a mere sync restarted the service")
		}
		p.write("conf/app.conf", "second\n")
		synced("/srv/conf/app.conf", "second")
		harness.Eventually(t, time.Minute, func() error {
			if got := arca.Inspect(t, p.ids("app")[0], "{{.State.StartedAt}}"); got == started {
				return fmt.Errorf("it was not restarted")
			}
			return nil
		})
		watcher.interrupt()
	})
}
