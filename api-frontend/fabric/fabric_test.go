package fabric

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNetworksReachRelayAndHelper(t *testing.T) {
	w := newWorld(t)
	w.start()
	n, ep := sampleNetwork("a"), sampleEndpoint("e", "a")
	check(t, w.fabric.ApplyNetwork(t.Context(), n))
	if len(w.helper.Running()) != 0 {
		t.Error("a network without an endpoint needs no helper")
	}
	check(t, w.fabric.Grant(t.Context(), ep))
	// The first grant waits for the helper.
	networks, endpoints := w.control.knows()
	if !slices.Equal(networks, []string{n.ID}) || !slices.Equal(endpoints, []string{ep.ID}) {
		t.Errorf("the helper knows networks %v, endpoints %v", networks, endpoints)
	}
	networks, endpoints = w.helper.Switch.Table()
	if !slices.Equal(networks, []string{n.ID}) || !slices.Equal(endpoints, []string{n.Gateway.EndpointID, ep.ID}) {
		t.Errorf("the relay knows networks %v, endpoints %v", networks, endpoints)
	}
	id := w.fabric.helper.id
	if g := w.helper.Switch.Endpoint(n.Gateway.EndpointID); !g.Gateway || g.SandboxId != id || g.Link != n.Gateway.Link || g.Tag != 0 || g.Addresses[0] != "172.18.0.1" {
		t.Errorf("gateway: %v", g)
	}
	if e := w.helper.Switch.Endpoint(ep.ID); e.Gateway || e.OvsTag != 8 || !slices.Equal(e.Addresses, []string{"172.18.0.2", "fd00::2"}) {
		t.Errorf("endpoint: %v", e)
	}
	up, ovs := w.helper.Switch.Uplink()
	if up.SandboxId != id || up.Link != "up" || ovs.SandboxId != id || ovs.Link != "ovs" || up.HostAddress != w.fabric.HostAddress().String() {
		t.Errorf("uplink %v, ovs %v", up, ovs)
	}
	w.control.set(func(c *fakeControl) {
		if c.uplink.Address != up.HelperAddress || c.uplink.NextHop != up.Address {
			t.Errorf("the two ends of the uplink differ: %v, %v", c.uplink, up)
		}
	})
	var links []string
	for _, l := range w.helper.Box(id).Links() {
		links = append(links, l.Name)
	}
	if !slices.Equal(links, []string{"ovs", "up", n.Gateway.Link}) {
		t.Errorf("links of the helper: %v", links)
	}

	// A network that comes later gets its link live.
	other := sampleNetwork("b")
	check(t, w.fabric.ApplyNetwork(t.Context(), other))
	if got := w.helper.Switch.Links(id); !slices.Contains(got, other.Gateway.Link) {
		t.Errorf("links that were added: %v", got)
	}
	check(t, w.fabric.RemoveNetwork(t.Context(), other.ID))
	if got := w.helper.Switch.Links(id); slices.Contains(got, other.Gateway.Link) {
		t.Errorf("links after the removal: %v", got)
	}
	counters, err := w.fabric.Counters(t.Context(), ep.ID)
	check(t, err)
	if len(counters) != 1 || counters[0].RxBytes != 60 {
		t.Errorf("%+v", counters)
	}
	check(t, w.fabric.Revoke(t.Context(), ep.ID))
	if _, endpoints := w.helper.Switch.Table(); slices.Contains(endpoints, ep.ID) {
		t.Error("the relay lets a revoked endpoint speak")
	}
	w.eventually("the helper to forget the endpoint", func() bool {
		_, endpoints := w.control.knows()
		return len(endpoints) == 0
	})
	check(t, w.fabric.RemoveNetwork(t.Context(), n.ID))
	w.fabric.Shutdown(t.Context())
	if len(w.helper.Running()) != 0 {
		t.Error("the helper runs on after the shutdown")
	}
}

func TestHelperIsRestartedAndToldEverything(t *testing.T) {
	w := newWorld(t)
	w.start()
	check(t, w.fabric.ApplyNetwork(t.Context(), sampleNetwork("a")))
	check(t, w.fabric.Grant(t.Context(), sampleEndpoint("e", "a")))
	id := w.fabric.helper.id
	for name, die := range map[string]func(){
		"its sandbox": func() { w.helper.Kill(id) },
		"its program": func() { w.helper.Box(id).Process(id).End(1) },
	} {
		w.control.set(func(c *fakeControl) { c.networks, c.endpoints, c.synced = nil, nil, false })
		boot := w.sandboxes.Box(id).BootID
		die()
		w.eventually(name+" to be there again", func() bool {
			b := w.sandboxes.Box(id)
			networks, endpoints := w.control.knows()
			return b != nil && b.BootID != boot && len(networks) == 1 && len(endpoints) == 1 && w.fabric.helper.current() != nil
		})
	}
	if w.images.unpacked != 1 {
		t.Errorf("the image was unpacked %d times", w.images.unpacked)
	}
	w.eventually("its state to be told", func() bool {
		raw, err := os.ReadFile(w.dir + "/helper.json")
		return err == nil && strings.Contains(string(raw), `"state":"up"`) && strings.Contains(string(raw), id)
	})
	w.fabric.Shutdown(t.Context())
}

// A helper that fails delays a start by a bounded time, and no call fails with it.
func TestNobodyFailsWithTheHelper(t *testing.T) {
	w := newWorld(t)
	w.start()
	check(t, w.fabric.ApplyNetwork(t.Context(), sampleNetwork("a")))
	check(t, w.fabric.Grant(t.Context(), sampleEndpoint("e", "a")))
	w.control.set(func(c *fakeControl) { c.fail = errors.New("out of order") })
	check(t, w.fabric.Grant(t.Context(), sampleEndpoint("f", "a")))
	if _, endpoints := w.helper.Switch.Table(); len(endpoints) != 3 {
		t.Errorf("the relay knows %v", endpoints)
	}
	w.control.set(func(c *fakeControl) { c.fail = nil })
	w.eventually("the helper to learn what it missed", func() bool {
		_, endpoints := w.control.knows()
		return len(endpoints) == 2
	})
	w.fabric.Shutdown(t.Context())
	begun := time.Now()
	check(t, w.fabric.Grant(t.Context(), sampleEndpoint("d", "a")))
	if d := time.Since(begun); d > awaitAgain+time.Second {
		t.Errorf("a start was delayed by %v", d)
	}
}

func TestWithoutImage(t *testing.T) {
	w := newWorld(t)
	check(t, os.Remove(w.dir+"/image.tar"))
	w.start()
	w.fabric.Prepare()
	w.eventually("the want of an image to show", func() bool {
		raw, err := os.ReadFile(w.dir + "/helper.json")
		return err == nil && strings.Contains(string(raw), "image is missing")
	})
	check(t, w.fabric.ApplyNetwork(t.Context(), sampleNetwork("a")))
	begun := time.Now()
	check(t, w.fabric.Grant(t.Context(), sampleEndpoint("e", "a")))
	if d := time.Since(begun); d > time.Second {
		t.Errorf("a start was delayed by %v", d)
	}
}

func TestWorkerIsToldEverythingAgain(t *testing.T) {
	w := newWorld(t)
	n, ep, stale := sampleNetwork("a"), sampleEndpoint("e", "a"), sampleEndpoint("f", "a")
	w.start()
	check(t, w.fabric.ApplyNetwork(t.Context(), n))
	check(t, w.fabric.Grant(t.Context(), ep))
	port, err := w.fabric.Publish(t.Context(), ep, n, ep.Ports[0])
	check(t, err)
	stale.Ports[0].First = 9090
	_, err = w.fabric.Publish(t.Context(), stale, n, stale.Ports[0])
	check(t, err)
	again := *ep
	again.Ports = []desired.Port{ep.Ports[0]}
	again.Ports[0].HostPort = port
	lost := again
	lost.Ports = append(slices.Clone(again.Ports), desired.Port{ID: "lost", Protocol: "udp", ContainerPort: 53, HostIPs: []netip.Addr{netip.IPv4Unspecified()}, HostPort: 5353})
	w.desired = &desired.State{Networks: []*desired.Network{n}, Endpoints: []*desired.Endpoint{&lost}}
	w.helper.Leave()
	w.helper.Return()
	w.eventually("the table to be told again", func() bool {
		networks, endpoints := w.helper.Switch.Table()
		up, ovs := w.helper.Switch.Uplink()
		return len(networks) == 1 && len(endpoints) == 2 && up != nil && ovs != nil
	})
	w.eventually("the ports to be as they should", func() bool { return slices.Equal(w.helper.Switch.Published(), []string{"lost", "port-e"}) })
	w.fabric.Shutdown(t.Context())
}

// TestGrantToANewRelay: a worker that was restarted was told of an endpoint before it was told of its network, and the
// start of the container failed for good.
func TestGrantToANewRelay(t *testing.T) {
	w := newWorld(t)
	n, ep := sampleNetwork("a"), sampleEndpoint("e", "a")
	w.start()
	check(t, w.fabric.ApplyNetwork(t.Context(), n))
	w.desired = &desired.State{Networks: []*desired.Network{n}}
	w.helper.Switch.Forget()
	check(t, w.fabric.Grant(t.Context(), ep))
	if networks, endpoints := w.helper.Switch.Table(); len(networks) != 1 || !slices.Contains(endpoints, ep.ID) {
		t.Errorf("the new relay knows %v and %v", networks, endpoints)
	}
	w.fabric.Shutdown(t.Context())
}

func TestNextFrontendAdoptsTheHelper(t *testing.T) {
	w := newWorld(t)
	w.start()
	n, ep := sampleNetwork("a"), sampleEndpoint("e", "a")
	check(t, w.fabric.ApplyNetwork(t.Context(), n))
	check(t, w.fabric.Grant(t.Context(), ep))
	id := w.fabric.helper.id
	boot := w.sandboxes.Box(id).BootID
	w.desired = &desired.State{Networks: []*desired.Network{n}, Endpoints: []*desired.Endpoint{ep}}
	w.stop()
	w.control.set(func(c *fakeControl) { c.networks, c.endpoints = nil, nil })
	w.start()
	w.up()
	if b := w.sandboxes.Box(id); b.BootID != boot {
		t.Error("another helper was booted")
	}
	if networks, endpoints := w.control.knows(); len(networks) != 1 || len(endpoints) != 1 {
		t.Errorf("the helper knows %v, %v", networks, endpoints)
	}
	// One whose program does not run is of no use.
	w.stop()
	w.helper.Box(id).Process(id).End(3)
	w.start()
	w.eventually("another helper", func() bool {
		b := w.sandboxes.Box(id)
		return b != nil && b.BootID != boot && w.fabric.helper.current() != nil
	})
	w.fabric.Shutdown(t.Context())
}

func TestLinksOfLiveEndpoints(t *testing.T) {
	w := newWorld(t)
	w.start()
	ep := sampleEndpoint("e", "a")
	if err := w.fabric.AddLink(t.Context(), ep); !errdefs.IsNotFound(err) {
		t.Errorf("in no sandbox: %v", err)
	}
	w.helper.Boot(ep.SandboxID)
	check(t, w.fabric.AddLink(t.Context(), ep))
	if got := w.helper.Switch.Links(ep.SandboxID); !slices.Equal(got, []string{ep.Link}) {
		t.Errorf("%v", got)
	}
	check(t, w.fabric.RemoveLink(t.Context(), ep))
	check(t, w.fabric.RemoveLink(t.Context(), ep))
}

func TestConflictOfPorts(t *testing.T) {
	w := newWorld(t)
	w.start()
	n, a, b := sampleNetwork("a"), sampleEndpoint("e", "a"), sampleEndpoint("f", "a")
	_, err := w.fabric.Publish(t.Context(), a, n, a.Ports[0])
	check(t, err)
	if _, err := w.fabric.Publish(t.Context(), b, n, b.Ports[0]); !errdefs.IsAlreadyExists(err) || err.Error() != "0.0.0.0:8080" {
		t.Errorf("%v", err)
	}
	check(t, w.fabric.Unpublish(t.Context(), a.Ports[0].ID, "absent"))
	_, err = w.fabric.Publish(t.Context(), b, n, b.Ports[0])
	check(t, err)
	if _, err := w.fabric.Publish(t.Context(), b, n, desired.Port{Protocol: "sctp"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("%v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	o := &output{path: t.TempDir() + "/log"}
	line := []byte(strings.Repeat("x", 100_000) + "\n")
	for range 40 {
		if _, err := o.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	check(t, o.Close())
	for _, p := range []string{o.path, o.path + ".1"} {
		if st, err := os.Stat(p); err == nil && st.Size() > maxOutput+int64(len(line)) {
			t.Errorf("%s has %d bytes", p, st.Size())
		}
	}
	if _, err := os.Stat(o.path + ".1"); err != nil {
		t.Error(err)
	}
}

func TestWatcherTellsTheFirstEnd(t *testing.T) {
	w := newWatcher()
	w.Exited(&guestv1.Exit{ExecId: "x"})
	select {
	case <-w.ended:
		t.Fatal("an exec's end is not the helper's")
	default:
	}
	w.Exited(&guestv1.Exit{Code: 3})
	w.Died("late")
	if <-w.ended; w.why != "its program ended with code 3" {
		t.Error(w.why)
	}
}
