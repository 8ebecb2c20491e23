//go:build integration

package compose

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

const webStack = `
services:
  web:
    image: counter
    ports: ["8080"]
    depends_on:
      redis:
        condition: service_healthy
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/health"]
      interval: 1s
      retries: 30
  redis:
    image: redis
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 1s
      retries: 30
`

// TestScale: a service of three answers under one name with three addresses in turn, and counts in one redis.
func TestScale(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, webStack)
		p.up("--scale", "web=3", "--wait")
		if n := len(p.ids("web")); n != 3 {
			t.Fatalf("%d containers of web", n)
		}
		first := p.url("web", "8080")
		if n := len(strings.Fields(ask(t, first, "/resolve", "name", "web"))); n != 3 {
			t.Errorf("web has %d addresses", n)
		}
		// Each container's port is published for itself.
		for i := range 3 {
			base := "http://" + p.compose("port", "--index", fmt.Sprint(i+1), "web", "8080").OK().Line()
			if got := get(t, base+"/"); !strings.HasPrefix(got, fmt.Sprintf("visit %d on ", i+1)) {
				t.Errorf("visit %d answers %q", i+1, got)
			}
		}
		// Whoever asks for the name again and again is spread over all three.
		hosts := map[string]bool{}
		harness.Eventually(t, time.Minute, func() error {
			_, host, _ := strings.Cut(ask(t, first, "/fetch", "url", "http://web:8080/"), " on ")
			hosts[host] = true
			if len(hosts) != 3 {
				return fmt.Errorf("%d of 3 containers answered", len(hosts))
			}
			return nil
		})
		// Fewer containers are fewer addresses, at once.
		p.up("--scale", "web=1")
		if got := ask(t, p.url("web", "8080"), "/resolve", "name", "web"); len(strings.Fields(got)) != 1 {
			t.Errorf("of one container the addresses are %q", got)
		}
		p.compose("scale", "web=2").OK()
		if n := len(p.ids("web")); n != 2 {
			t.Errorf("%d containers of web, want 2", n)
		}
	})
}

const changing = `
services:
  web:
    image: counter
    ports: ["8080"]
    environment:
      COLOUR: %s
    depends_on: [redis]
  redis:
    image: redis
`

// TestChange: an unchanged stack is left as it is; a changed service alone is made anew, and found again by its name.
func TestChange(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		p := newProject(t, c, fmt.Sprintf(changing, "red"))
		p.up()
		web, redis := p.ids("web"), p.ids("redis")
		base := p.url("web", "8080")
		if got := ask(t, base, "/env", "name", "COLOUR"); got != "red" {
			t.Errorf("COLOUR is %q", got)
		}
		get(t, base+"/")
		p.up()
		if got := p.ids("web"); got[0] != web[0] {
			t.Error("an unchanged service was made anew")
		}
		p.write("compose.yaml", fmt.Sprintf(changing, "green"))
		p.up()
		changed := p.ids("web")
		if len(changed) != 1 || changed[0] == web[0] {
			t.Errorf("the changed service is %v, was %v", changed, web)
		}
		if got := p.ids("redis"); got[0] != redis[0] {
			t.Error("the unchanged service beside it was made anew")
		}
		base = p.url("web", "8080")
		if got := ask(t, base, "/env", "name", "COLOUR"); got != "green" {
			t.Errorf("COLOUR is %q", got)
		}
		if got := get(t, base+"/"); !strings.HasPrefix(got, "visit 2 on ") {
			t.Errorf("redis was lost: %q", got)
		}
		p.up("--force-recreate", "redis")
		if got := p.ids("redis"); got[0] == redis[0] {
			t.Error("--force-recreate left the container")
		}
		if got := get(t, base+"/"); !strings.HasPrefix(got, "visit ") {
			t.Errorf("the new redis is not found by its name: %q", got)
		}
		if _, err := fetch(t.Context(), http.DefaultClient, http.MethodGet, base+"/resolve?name=nobody", nil); err == nil {
			t.Error("a name that is nobody's has an address")
		}
	})
}

// TestFiveServices: five services come up together; how long it takes is told.
func TestFiveServices(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		var yaml strings.Builder
		yaml.WriteString("services:\n")
		for i := range 5 {
			fmt.Fprintf(&yaml, "  s%d:\n    image: busybox\n    init: true\n    command: [sleep, inf]\n", i)
		}
		p := newProject(t, c, yaml.String())
		p.compose("pull", "--quiet").OK()
		begun := time.Now()
		p.up()
		took := time.Since(begun)
		t.Logf("up of five services took %s", took.Round(time.Millisecond))
		if n := len(p.ps()); n != 5 {
			t.Errorf("%d containers", n)
		}
		begun = time.Now()
		p.compose("down", "--timeout", "2").OK()
		t.Logf("down took %s", time.Since(begun).Round(time.Millisecond))
		if took > time.Minute {
			t.Errorf("up took %s", took)
		}
	})
}
