//go:build integration

package reach

import (
	"bufio"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

var arca *harness.Instance

func TestMain(m *testing.M) {
	harness.Main(m, harness.Options{Images: []string{"busybox", "probe"}}, func(i *harness.Instance) { arca = i })
}

// network makes a network that goes with the test.
func network(t *testing.T, flags ...string) string {
	t.Helper()
	name := harness.Name(t)
	arca.Docker(t, append(append([]string{"network", "create"}, flags...), name)...).OK()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), harness.CommandTimeout)
		defer cancel()
		if out, err := arca.Command(ctx, "network", "rm", name).CombinedOutput(); err != nil {
			t.Errorf("remove network %s: %v: %s", name, err, out)
		}
	})
	return name
}

// endpoint is a container with what one of its networks gave it.
type endpoint struct {
	name, mac          string
	address4, address6 string
	gateway4, gateway6 string
}

// join starts a container on a network.
func join(t *testing.T, network string, flags ...string) endpoint {
	t.Helper()
	e := endpoint{name: arca.Start(t, append([]string{"--network", network, "--init"}, append(flags, "probe", "sleep", "inf")...)...)}
	of := func(field string) string {
		t.Helper()
		return arca.Inspect(t, e.name, `{{with index .NetworkSettings.Networks "`+network+`"}}{{.`+field+`}}{{end}}`)
	}
	e.mac, e.address4, e.address6, e.gateway4, e.gateway6 = of("MacAddress"), of("IPAddress"), of("GlobalIPv6Address"), of("Gateway"), of("IPv6Gateway")
	for _, address := range []string{e.address4, e.address6, e.gateway4, e.gateway6} {
		if _, err := netip.ParseAddr(address); err != nil && address != "" {
			t.Fatalf("inspect of %s: %v", e.name, err)
		}
	}
	if e.mac == "" || e.address4 == "" {
		t.Fatalf("inspect of %s tells no addresses: %+v", e.name, e)
	}
	return e
}

// exec runs a command in the container.
func (e endpoint) exec(t *testing.T, args ...string) *harness.Result {
	t.Helper()
	return arca.Docker(t, append([]string{"exec", e.name}, args...)...)
}

// gatewayMAC is the hardware address that the gateway answers with.
func (e endpoint) gatewayMAC(t *testing.T) string {
	t.Helper()
	e.exec(t, "ping", "-c", "1", "-W", "5", e.gateway4).OK()
	fields := strings.Fields(e.exec(t, "ip", "neigh", "show", e.gateway4).OK().Stdout)
	for i, f := range fields {
		if f == "lladdr" && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	t.Fatalf("no hardware address of the gateway: %q", fields)
	return ""
}

// listen starts to listen for a marker; the answer of heard ends it.
func (e endpoint) listen(t *testing.T, marker string) (heard func() map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	cmd := arca.Command(ctx, "exec", e.name, "probe", "listen", "-marker", marker, "-for", "100s")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "listening" {
		t.Fatalf("the listener says %q", lines.Text())
	}
	return func() map[string]string {
		t.Helper()
		defer cancel()
		e.exec(t, "killall", "-TERM", "probe").OK()
		kinds, last := map[string]string{}, ""
		for lines.Scan() {
			last = lines.Text()
			if f := strings.Fields(last); len(f) == 3 && f[0] == "heard" {
				kinds[f[1]] = f[2]
			}
		}
		if err := cmd.Wait(); err != nil || last != "done" {
			t.Fatalf("the listener ended with %q: %v", last, err)
		}
		return kinds
	}
}

// attack sends everything to a target and tells the answers of addresses that are the target's.
func (e endpoint) attack(t *testing.T, marker, mac string, via, addresses []string) []string {
	t.Helper()
	var given []string
	for _, a := range addresses {
		if a != "" {
			given = append(given, a)
		}
	}
	r := e.exec(t, "probe", "attack", "-marker", marker, "-mac", mac, "-address", strings.Join(given, ","), "-via", strings.Join(via, ",")).OK().OutMatches(`(?m)^sent \d{4,}$`)
	var answers []string
	for _, line := range r.Lines() {
		if answer, ok := strings.CutPrefix(line, "answer "); ok {
			answers = append(answers, answer)
		}
	}
	return answers
}
