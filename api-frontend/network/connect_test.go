package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

func TestConnectOfARunningContainer(t *testing.T) {
	tcp80 := network.MustParsePort("80/tcp")
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "middle"})
	create(t, s, network.CreateRequest{Name: "alpha", IPAM: config("10.1.0.0/16")})
	a := publishing(w, "a", "middle", network.PortMap{tcp80: {{}}})
	start(t, s, a)
	neighbour := start(t, s, w.add("n", "alpha", nil))
	take(w, &w.told)
	take(w, &w.calls)
	err := s.Connect(t.Context(), "alpha", "a", &network.EndpointSettings{
		Aliases: []string{"web"}, Links: []string{"n:friend"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr("10.1.0.9")}, EndpointID: "nonsense",
	})
	if err != nil {
		t.Fatal(err)
	}
	// alpha comes before middle: it has the default route now, and with it the port, which keeps its number.
	if got, want := take(w, &w.calls), "link a@eth1, unpublish 80/tcp, grant a@eth0, grant a@eth1, publish 80/tcp, plug a"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := take(w, &w.told); got != "network connect alpha" {
		t.Error(got)
	}
	m := w.plugged[a.ID]
	if len(m.Endpoints) != 2 || m.Endpoints[0].Default4 || !m.Endpoints[1].Default4 || m.Endpoints[1].IPv4.String() != "10.1.0.9/16" || m.Endpoints[1].Interface != "eth1" {
		t.Errorf("%+v", m)
	}
	rec, _ := w.RecordOf("a")
	if got := rec.Networking["alpha"]; got.Aliases[0] != "web" || got.EndpointID != "" || len(a.Networking) != 1 {
		t.Errorf("%+v", got)
	}
	if got := shown(s.Ports(rec)); got != "80/tcp 0.0.0.0:32768 [::]:32768" {
		t.Error(got)
	}
	if lookup(w.names[neighbour.ContainerID], "web") != "10.1.0.9" || lookup(w.names[a.ID], "n") == "-" || lookup(w.names[a.ID], "friend") != "10.1.0.2" {
		t.Error("the neighbours do not know each other")
	}
	for _, tc := range []struct {
		ref, container string
		settings       *network.EndpointSettings
		class          error
		text           string
	}{
		{"alpha", "a", nil, errdefs.ErrPermissionDenied, "endpoint with name a already exists in network alpha"},
		{"mine", "a", nil, errdefs.ErrNotFound, "network mine not found"},
		{"alpha", "nobody", nil, errdefs.ErrNotFound, "No such container: nobody"},
		{"host", "a", nil, errdefs.ErrInvalidArgument, "cannot connect container to host network - container must be created in host network mode"},
		{"none", "a", nil, errdefs.ErrInvalidArgument, "container cannot be connected to multiple networks with one of the networks in private (none) mode"},
		{"bridge", "a", &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr("172.17.0.9")}}, errdefs.ErrInvalidArgument,
			"invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"},
	} {
		if err := s.Connect(t.Context(), tc.ref, tc.container, tc.settings); !errors.Is(err, tc.class) || err.Error() != tc.text {
			t.Errorf("%v, want %s", err, tc.text)
		}
	}

	take(w, &w.calls)
	take(w, &w.told)
	if err := s.Disconnect(t.Context(), s.ID("alpha")[:12], "a", false); err != nil {
		t.Fatal(err)
	}
	if got, want := take(w, &w.calls), "unpublish 80/tcp, revoke a@eth1, grant a@eth0, publish 80/tcp, plug a, unlink a@eth1"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := take(w, &w.told); got != "network disconnect alpha" {
		t.Error(got)
	}
	rec, _ = w.RecordOf("a")
	if got := shown(s.Ports(rec)); got != "80/tcp 0.0.0.0:32768 [::]:32768" || len(rec.Networking) != 1 || !w.plugged[a.ID].Endpoints[0].Default4 {
		t.Errorf("%s, %v", got, rec.Networking)
	}
	if lookup(w.names[neighbour.ContainerID], "web") != "-" {
		t.Error("the neighbour still knows it")
	}
	if err := s.Disconnect(t.Context(), "alpha", "a", false); err == nil || err.Error() != "container "+a.ID+" is not connected to network alpha" {
		t.Error(err)
	}
	if err := s.Disconnect(t.Context(), "mine", "a", false); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

// A connection that fails, at whatever step, leaves the container as it was.
func TestConnectThatFails(t *testing.T) {
	tcp80 := network.MustParsePort("80/tcp")
	for _, step := range []string{"link", "unpublish", "grant", "publish", "plug"} {
		w := newWorld()
		s := open(t, w, Settings{})
		create(t, s, network.CreateRequest{Name: "middle"})
		alpha := create(t, s, network.CreateRequest{Name: "alpha"})
		a := publishing(w, "a", "middle", network.PortMap{tcp80: {at("", "8080")}})
		start(t, s, a)
		take(w, &w.told)
		failOnce(w, step)
		if err := s.Connect(t.Context(), "alpha", "a", nil); err == nil || !strings.Contains(err.Error(), "on purpose") {
			t.Errorf("%s: %v", step, err)
		}
		rec, _ := w.RecordOf("a")
		r := s.run(a.ID)
		if len(rec.Networking) != 1 || len(r.Endpoints) != 1 || !r.Endpoints[0].Default4 || shown(s.Ports(rec)) != "80/tcp 0.0.0.0:8080 [::]:8080" {
			t.Errorf("%s: %+v, %+v", step, rec.Networking, r.Endpoints[0])
		}
		if len(w.granted) != 1 || len(w.open) != 1 || len(w.links) != 0 || s.used(alpha.ID) || take(w, &w.told) != "" {
			t.Errorf("%s: left: %v, %v, %v", step, w.granted, w.open, w.links)
		}
		if err := s.Connect(t.Context(), "alpha", "a", nil); err != nil {
			t.Errorf("%s: it does not work afterwards: %v", step, err)
		}
	}
}

// failOnce lets the next call of a kind fail.
func failOnce(w *world, step string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once = step
}

func TestConnectOfAStoppedContainer(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	create(t, s, network.CreateRequest{Name: "back"})
	a := w.add("a", "front", nil)
	for range 2 { // Twice is no error, as in dockerd.
		if err := s.Connect(t.Context(), "back", "a", &network.EndpointSettings{Aliases: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
	}
	rec, _ := w.RecordOf("a")
	if len(rec.Networking) != 2 || rec.Networking["back"].Aliases[0] != "x" {
		t.Errorf("%+v", rec.Networking)
	}
	if m := start(t, s, rec); len(m.Endpoints) != 2 {
		t.Errorf("%+v", m)
	}
	if err := s.Leave(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Disconnect(t.Context(), "front", "a", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Disconnect(t.Context(), "front", "a", false); err == nil || err.Error() != "container "+a.ID+" is not connected to the network front" {
		t.Error(err)
	}
	rec, _ = w.RecordOf("a")
	if len(rec.Networking) != 1 || rec.Networking["back"] == nil {
		t.Errorf("%+v", rec.Networking)
	}
	if len(w.plugged) != 0 {
		t.Error("a container that does not run was plugged")
	}
	gone := w.add("gone", "front", nil)
	gone.State.Status = record.Dead
	want := "Container " + gone.ID + " is marked for removal and cannot be connected or disconnected to the network"
	if err := s.Connect(t.Context(), "back", "gone", nil); err == nil || err.Error() != want {
		t.Error(err)
	}
	if err := s.Disconnect(t.Context(), "front", "gone", false); err == nil || err.Error() != want {
		t.Error(err)
	}
	if err := s.Connect(t.Context(), "back", w.add("j", "container:a", nil).Name, nil); !errors.Is(err, errShared) {
		t.Error(err)
	}
}

func TestDisconnectByForce(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a := start(t, s, w.add("a", "front", nil))
	h := w.add("h", "host", nil)
	start(t, s, h)
	if err := s.Disconnect(t.Context(), "host", "h", true); !errors.Is(err, errOfHost) {
		t.Error(err)
	}
	delete(w.records, a.ContainerID)
	if err := s.Disconnect(t.Context(), "front", "a", false); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if err := s.Disconnect(t.Context(), "front", "b", true); !errdefs.IsNotFound(err) || err.Error() != "endpoint b not found" {
		t.Error(err)
	}
	if err := s.Disconnect(t.Context(), "front", "a", true); err != nil || s.run(a.ContainerID) != nil || len(w.granted) != 0 {
		t.Errorf("%v, %v", err, w.granted)
	}
}

// The last network of a running container may go, and come back.
func TestLastNetwork(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	create(t, s, network.CreateRequest{Name: "front"})
	a := w.add("a", "front", nil)
	start(t, s, a)
	if err := s.Disconnect(t.Context(), "front", "a", false); err != nil {
		t.Fatal(err)
	}
	if m := s.Membership(a.ID); m == nil || len(m.Endpoints) != 0 || m.Resolver {
		t.Errorf("%+v", m)
	}
	if err := s.Connect(t.Context(), "front", "a", nil); err != nil {
		t.Fatal(err)
	}
	if m := s.Membership(a.ID); len(m.Endpoints) != 1 || m.Endpoints[0].Interface != "eth0" || !m.Endpoints[0].Default4 {
		t.Errorf("%+v", m)
	}
}

// Whatever happens at once, nothing is given twice (the fake fabric looks), and nothing is left at the end; restarts lose
// nothing.
func TestManyAtOnce(t *testing.T) {
	const containers, rounds = 12, 25
	w := newWorld()
	path := filepath.Join(t.TempDir(), "state.db")
	var s *Service
	for life := range 3 {
		s = reopen(t, w, Settings{}, path)
		if life == 0 {
			create(t, s, network.CreateRequest{Name: "one", IPAM: config("10.1.0.0/27")})
			create(t, s, network.CreateRequest{Name: "two"})
		}
		if err := s.Reconcile(t.Context(), func(string) bool { return true }); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.runs {
			for _, ep := range r.Endpoints {
				if w.granted[ep.ID] == nil {
					t.Errorf("%s was lost", ep.Names[0])
				}
			}
		}
		var wg sync.WaitGroup
		for i := range containers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(life), uint64(i)))
				if err := live(t.Context(), s, w, i, rounds, r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s.Close()
		_ = s.cfg.Store.Close()
	}
	s = reopen(t, w, Settings{}, path)
	if err := s.Reconcile(t.Context(), func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if len(w.granted) != 0 || len(w.open) != 0 || len(s.State().Endpoints) != 0 {
		t.Errorf("left: %v, %v", w.granted, w.open)
	}
}

// live lets a container start, stop, connect and disconnect.
func live(ctx context.Context, s *Service, w *world, i, rounds int, r *rand.Rand) error {
	name := fmt.Sprintf("c%d", i)
	if _, err := w.RecordOf(name); err != nil {
		publishing(w, name, "one", network.PortMap{network.MustParsePort("80/tcp"): {{}}})
	}
	for range rounds {
		rec, err := w.RecordOf(name)
		if err != nil {
			return err
		}
		switch r.IntN(4) {
		case 0:
			m, err := s.Join(ctx, rec)
			if err != nil {
				return err
			}
			if err := s.Open(ctx, m); err != nil {
				return err
			}
		case 1:
			err = s.Leave(ctx, rec.ID)
		case 2:
			err = s.Connect(ctx, []string{"one", "two", "bridge"}[r.IntN(3)], name, nil)
		case 3:
			err = s.Disconnect(ctx, []string{"two", "bridge"}[r.IntN(2)], name, false)
		}
		if err != nil && !errdefs.IsPermissionDenied(err) && !strings.Contains(err.Error(), "is not connected to") {
			return err
		}
	}
	return nil
}

// FuzzAddresses lets endpoints come and go as bytes say: no address is given twice, the lowest free one is the next.
func FuzzAddresses(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0x80, 3, 0x81, 4})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 40 {
			steps = steps[:40]
		}
		w := newWorld()
		s := open(t, w, Settings{})
		n := create(t, s, network.CreateRequest{Name: "n", IPAM: config("10.1.0.0/28")})
		has := map[netip.Addr]string{}
		for _, step := range steps {
			name := fmt.Sprintf("c%d", step&15)
			if step&0x80 != 0 {
				if err := s.Leave(t.Context(), hash(name)); err != nil {
					t.Fatal(err)
				}
				for a, owner := range has {
					if owner == name {
						delete(has, a)
					}
				}
				continue
			}
			for a, owner := range has {
				if owner == name {
					delete(has, a)
				}
			}
			m, err := s.Join(t.Context(), w.add(name, "n", nil))
			if err != nil {
				if len(has) < 13 {
					t.Fatalf("%d in use: %v", len(has), err)
				}
				continue
			}
			a := m.Endpoints[0].IPv4.Addr()
			if other, ok := has[a]; ok || a == n.Pools[0].Gateway || !n.Pools[0].Subnet.Contains(a) {
				t.Fatalf("%v of %s is %s's", a, name, other)
			}
			for lower := n.Pools[0].Gateway.Next(); lower.Less(a); lower = lower.Next() {
				if has[lower] == "" {
					t.Fatalf("%v is given, %v is free", a, lower)
				}
			}
			has[a] = name
		}
	})
}

// A connection or a disconnection that was cut short between the two commits is put right.
func TestConnectionsCutShort(t *testing.T) {
	w := newWorld()
	path := filepath.Join(t.TempDir(), "state.db")
	s := reopen(t, w, Settings{}, path)
	create(t, s, network.CreateRequest{Name: "front"})
	create(t, s, network.CreateRequest{Name: "back"})
	before := w.add("a", "front", nil)
	start(t, s, before)
	if err := s.Connect(t.Context(), "back", "a", nil); err != nil {
		t.Fatal(err)
	}
	w.records[before.ID] = before // The engine died before it committed the record.
	s.Close()
	_ = s.cfg.Store.Close()
	s = reopen(t, w, Settings{}, path)
	if err := s.Reconcile(t.Context(), func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if m := s.Membership(before.ID); len(m.Endpoints) != 1 || len(w.granted) != 1 {
		t.Errorf("%+v", m)
	}
	if err := s.Connect(t.Context(), "back", "a", nil); err != nil {
		t.Fatal(err)
	}
	connected := w.records[before.ID]
	for range 2 {
		if err := s.Disconnect(t.Context(), "back", "a", false); err != nil {
			t.Fatal(err)
		}
		if w.records[before.ID].Networking["back"] != nil {
			t.Error("it is still in the record")
		}
		w.records[before.ID] = connected // As above.
	}
	if err := s.Connect(t.Context(), "back", "a", nil); err != nil || len(s.Membership(before.ID).Endpoints) != 2 {
		t.Errorf("%v", err)
	}
}

func TestNetworksByID(t *testing.T) {
	w := newWorld()
	s := open(t, w, Settings{})
	n := create(t, s, network.CreateRequest{Name: "front"})
	create(t, s, network.CreateRequest{Name: "back"})
	for _, ref := range []string{n.ID, n.ID[:10], "front"} {
		rec := w.add("c-"+ref[:5], ref, settings{ref: {Aliases: []string{"x"}}, "back": {}})
		if err := s.Check(rec); err != nil {
			t.Fatal(err)
		}
		mode := rec.HostConfig.NetworkMode.NetworkName()
		if len(rec.Networking) != 2 || rec.Networking["front"].Aliases[0] != "x" || mode != n.ID && mode != "front" {
			t.Errorf("%s: %v, %s", ref, rec.Networking, mode)
		}
		if ep := start(t, s, rec).Endpoints[0]; ep.NetworkID != n.ID || ep.Interface != "eth0" {
			t.Errorf("%s: the network of the mode comes first: %+v", ref, ep)
		}
	}
}
