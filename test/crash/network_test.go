//go:build integration

package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

// pair is two containers in a network of their own: one that serves, one that asks, by name, ten times a second, and
// writes what failed.
func pair(t *testing.T) (server, client string) {
	t.Helper()
	n := harness.Name(t)
	arca.Docker(t, "network", "create", n).OK()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.CommandTimeout)
		defer cancel()
		if out, err := arca.Command(ctx, "network", "rm", n).CombinedOutput(); err != nil {
			t.Errorf("remove network: %s", out)
		}
	})
	server = arca.Start(t, "--network", n, "--network-alias", "server", "busybox", "sh", "-c", "mkdir /www; echo here > /www/index.html; exec httpd -f -p 80 -h /www")
	client = arca.Start(t, "--network", n, "busybox", "sh", "-c",
		"until timeout 2 wget -q -O- http://server/ >/dev/null; do sleep 0.1; done; echo begun; "+
			"while true; do timeout 2 wget -q -O- http://server/ >/dev/null && echo ok || echo failed; sleep 0.1; done")
	harness.Eventually(t, 20*time.Second, func() error { return has(t, client, "begun") })
	return server, client
}

func has(t *testing.T, container, line string) error {
	t.Helper()
	if out := arca.Docker(t, "logs", container).OK().Stdout; !strings.Contains(out, line+"\n") {
		return fmt.Errorf("%q is not in the log: %s", line, out)
	}
	return nil
}

// goesOn checks that the client has asked on, and counts what failed.
func goesOn(t *testing.T, client string) {
	t.Helper()
	before := strings.Count(arca.Docker(t, "logs", client).OK().Stdout, "ok\n")
	harness.Eventually(t, 15*time.Second, func() error {
		if now := strings.Count(arca.Docker(t, "logs", client).OK().Stdout, "ok\n"); now < before+10 {
			return fmt.Errorf("%d answers, %d before", now, before)
		}
		return nil
	})
}

func failures(t *testing.T, client string) int {
	t.Helper()
	return strings.Count(arca.Docker(t, "logs", client).OK().Stdout, "failed\n")
}

func ready(t *testing.T) {
	t.Helper()
	harness.Eventually(t, harness.CommandTimeout, func() error { return arca.Command(t.Context(), "version").Run() })
}

func TestNetworksOutliveTheFrontend(t *testing.T) {
	server, client := pair(t)
	old := frontend()
	harness.Kill(t, "the frontend", old)
	harness.WaitReplaced(t, "the frontend", old, frontend)
	ready(t)
	goesOn(t, client)
	if n := failures(t, client); n > 0 {
		t.Errorf("%d requests failed", n)
	}
	// The next frontend knows what it has.
	if ip := arca.Inspect(t, server, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"); ip == "" {
		t.Error("the server has no address any more")
	}
	arca.Docker(t, "rm", "-f", client, server).OK()
}

func TestNetworksOutliveTheWorker(t *testing.T) {
	server, client := pair(t)
	find := func() int { return arca.Worker(t) }
	old := find()
	harness.Kill(t, "the worker", old)
	harness.WaitReplaced(t, "the worker", old, find)
	goesOn(t, client)
	arca.Docker(t, "rm", "-f", client, server).OK()
}

func TestNetworksOutliveTheKeeper(t *testing.T) {
	server, client := pair(t)
	old := keeper()
	harness.Kill(t, "the keeper", old)
	harness.WaitReplaced(t, "the keeper", old, keeper)
	goesOn(t, client)
	arca.Docker(t, "rm", "-f", client, server).OK()
}

// While the helper is down, traffic within a network and names go on, old and new; it is back within five seconds.
func TestNetworksOutliveTheHelper(t *testing.T) {
	server, client := pair(t)
	up := func() error {
		if s := arca.HelperState(); s != "up" {
			return errors.New("the helper is " + s)
		}
		return nil
	}
	harness.Eventually(t, 20*time.Second, up)
	for _, name := range []string{"arca-network", "ovs-vswitchd", "ovsdb-server", "ovn-northd", "ovn-controller"} {
		victims := arca.HelperProcesses(t, name)
		if len(victims) == 0 {
			t.Fatalf("no process %s in the helper", name)
		}
		begun := time.Now()
		for _, pid := range victims {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with another one.
		}
		harness.Eventually(t, 20*time.Second, func() error {
			now := arca.HelperProcesses(t, name)
			if len(now) < len(victims) {
				return fmt.Errorf("%d of %d processes %s", len(now), len(victims), name)
			}
			for _, pid := range now {
				for _, v := range victims {
					if pid == v {
						return fmt.Errorf("process %d has not ended", v)
					}
				}
			}
			return up()
		})
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("the helper needed %v after the death of %s", d, name)
		}
	}
	goesOn(t, client)
	if n := failures(t, client); n > 0 {
		t.Errorf("%d requests within the network failed while the helper was down", n)
	}
	arca.Docker(t, "rm", "-f", client, server).OK()
	arca.Audit(t)
}
