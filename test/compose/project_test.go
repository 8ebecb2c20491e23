//go:build integration

package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// commandTimeout bounds one command line: bringing up a stack with a database takes a while on a busy machine.
const commandTimeout = 3 * time.Minute

// project is a stack of a test.
type project struct {
	t      *testing.T
	client client
	name   string
	dir    string
}

// newProject writes a project with its compose.yaml; it is taken down when the test ends.
func newProject(t *testing.T, c client, yaml string) *project {
	t.Helper()
	p := &project{t: t, client: c, name: harness.Name(t), dir: t.TempDir()}
	p.write("compose.yaml", yaml)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
		defer cancel()
		if t.Failed() {
			for _, args := range [][]string{{"ps", "--all"}, {"logs", "--no-color", "--tail", "50"}} {
				out, err := p.command(ctx, args...).CombinedOutput()
				t.Logf("%s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
		if out, err := p.command(ctx, "down", "--volumes", "--remove-orphans", "--timeout", "2").CombinedOutput(); err != nil {
			t.Errorf("down: %v: %s", err, out)
		}
	})
	return p
}

// write puts a file into the project.
func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := arca.Command(ctx, append([]string{"compose", "--project-name", p.name, "--ansi", "never"}, args...)...)
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+p.client.config, "COMPOSE_MENU=0")
	cmd.Dir = p.dir
	return cmd
}

// compose runs a command line to its end.
func (p *project) compose(args ...string) *harness.Result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), commandTimeout)
	defer cancel()
	return harness.Exec(ctx, p.t, p.command(ctx, args...), "")
}

// up brings the stack up.
func (p *project) up(args ...string) *harness.Result {
	p.t.Helper()
	return p.compose(append([]string{"up", "--detach"}, args...)...).OK()
}

// exec runs a command in a service's container and tells its output.
func (p *project) exec(service string, args ...string) string {
	p.t.Helper()
	return p.compose(append([]string{"exec", "-T", service}, args...)...).OK().Line()
}

// ids tells the containers of a service, all of them, in order.
func (p *project) ids(service string) []string {
	p.t.Helper()
	ids := p.compose("ps", "--all", "--quiet", "--no-trunc", service).OK().Lines()
	slices.Sort(ids)
	return ids
}

// entry is what `compose ps --format json` tells of a container.
type entry struct {
	Name, Service, State, Health string
	ExitCode                     int
}

func (p *project) ps() []entry {
	p.t.Helper()
	var entries []entry
	for _, line := range p.compose("ps", "--all", "--format", "json").OK().Lines() {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("ps tells %q: %v", line, err)
		}
		entries = append(entries, e)
	}
	return entries
}

// url is where a service's port is published.
func (p *project) url(service, port string) string {
	p.t.Helper()
	return "http://" + p.compose("port", service, port).OK().Line()
}

// get asks until the answer is 200.
func get(t *testing.T, address string) string {
	t.Helper()
	var body string
	harness.Eventually(t, 60*time.Second, func() error {
		var err error
		body, err = fetch(t.Context(), http.DefaultClient, http.MethodGet, address, nil)
		return err
	})
	return body
}

// ask asks a counter for what it sees.
func ask(t *testing.T, base, path, key, value string) string {
	t.Helper()
	return get(t, base+path+"?"+url.Values{key: {value}}.Encode())
}

// fetch asks once; an answer that is not 2xx is an error.
func fetch(ctx context.Context, c *http.Client, method, address string, form url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s %s: %s: %.300s", method, address, resp.Status, b)
	}
	return string(b), nil
}
