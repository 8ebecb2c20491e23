package container

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	types "github.com/moby/moby/api/types/container"
	networktypes "github.com/moby/moby/api/types/network"
	"google.golang.org/protobuf/proto"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// fakeNetworks gives every run in a network one endpoint, and outlives frontends as the database does.
type fakeNetworks struct {
	mu        sync.Mutex
	members   map[string]*desired.Membership
	open      map[string]bool
	names     *guestv1.NameTable
	refuse    map[string]error // by the method's name.
	foreign   []string         // sandboxes that are the fabric's own.
	unplugged []string         // links that were taken out of sandboxes.
	removed   int              // links that were taken out of sandboxes.
	address   netip.Prefix     // of new endpoints.
}

func newFakeNetworks() *fakeNetworks {
	return &fakeNetworks{
		members: map[string]*desired.Membership{}, open: map[string]bool{}, refuse: map[string]error{}, names: &guestv1.NameTable{Generation: 1},
		address: netip.MustParsePrefix("172.18.0.2/16"),
	}
}

var _ Networks = (*fakeNetworks)(nil)

// fakeFabric carries nothing.
type fakeFabric struct{ n *fakeNetworks }

var _ Fabric = fakeFabric{}

func (n *fakeNetworks) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.members)
}

func (n *fakeNetworks) setRefusal(method string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse[method] = err
}

func (n *fakeNetworks) Check(*record.Container) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refuse["Check"]
}

func (n *fakeNetworks) Join(_ context.Context, rec *record.Container) (*desired.Membership, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.members[rec.ID] != nil {
		return nil, errors.New("it has joined already")
	}
	m := &desired.Membership{ContainerID: rec.ID, Networks: map[string]*desired.Network{}}
	n.members[rec.ID] = m
	for name := range rec.Networking {
		if name == "none" || name == "host" {
			continue
		}
		id := strings.Repeat("d", 64)
		m.Networks[id] = &desired.Network{ID: id, Name: name, MTU: 1400}
		m.Endpoints = append(m.Endpoints, &desired.Endpoint{
			ID: rec.ID, NetworkID: id, Link: "e1", Interface: "eth0", MAC: []byte{2, 0, 0, 0, 0, 1}, IPv4: n.address,
		})
		m.Resolver, m.Upstreams = true, []string{"172.18.0.1:53"}
	}
	return m, n.refuse["Join"]
}

func (n *fakeNetworks) Open(_ context.Context, m *desired.Membership) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[m.ContainerID] = true
	return n.refuse["Open"]
}

func (n *fakeNetworks) Leave(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, id)
	delete(n.open, id)
	return nil
}

func (n *fakeNetworks) Membership(id string) *desired.Membership {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members[id]
}

func (n *fakeNetworks) Names(string) *guestv1.NameTable {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names
}

func (n *fakeNetworks) Renamed(context.Context, *record.Container) error { return nil }

func (n *fakeNetworks) Forget(context.Context, string) error { return nil }

func (n *fakeNetworks) Reconcile(ctx context.Context, running func(string) bool) error {
	n.mu.Lock()
	ids := slices.Collect(maps.Keys(n.members))
	n.mu.Unlock()
	for _, id := range ids {
		if !running(id) {
			if err := n.Leave(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *fakeNetworks) Complete(s *view.NetworkSettings, rec *record.Container) {
	if m := n.Membership(rec.ID); m != nil && rec.State.IsRunning() {
		for name := range s.Networks {
			s.Networks[name] = &networktypes.EndpointSettings{NetworkID: "of-" + name}
		}
	}
}

func (f fakeFabric) Reconcile(_ context.Context, running []*vmhelperv1.Sandbox) ([]*vmhelperv1.Sandbox, error) {
	n := f.n
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(running), func(s *vmhelperv1.Sandbox) bool { return slices.Contains(n.foreign, s.Id) }), nil
}

func (fakeFabric) Counters(_ context.Context, ids ...string) (all []network.Counters, err error) {
	for _, id := range ids {
		all = append(all, network.Counters{EndpointID: id, RxBytes: 7})
	}
	return all, nil
}

func (f fakeFabric) RemoveLink(_ context.Context, ep *desired.Endpoint) error {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.unplugged = append(f.n.unplugged, ep.Link)
	f.n.removed++
	return nil
}

func (fakeFabric) Prepare() {}

func (f fakeFabric) Owns(id string) bool {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	return slices.Contains(f.n.foreign, id)
}

func (fakeFabric) MTU() uint32 { return 1500 }

func in(networkName string) func(*normal.Request) {
	return func(r *normal.Request) { r.HostConfig.NetworkMode = types.NetworkMode(networkName) }
}

func TestRunInANetwork(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", in("mine"))
	box := w.helper.Box(id)
	if l := box.Links(); len(l) != 1 || l[0].Name != "e1" || l[0].Mtu != 1400 || len(l[0].Mac) != 6 {
		t.Errorf("links of the sandbox: %v", l)
	}
	told := box.Network(id)
	if i := told.Config.GetInterfaces(); len(i) != 1 || i[0].Name != "eth0" || i[0].Mtu != 1400 || told.Config.Resolver == nil || told.Names.GetGeneration() != 1 {
		t.Errorf("the agent was told %v", told)
	}
	if !strings.HasSuffix(told.Files["/etc/hosts"], "172.18.0.2\t"+id[:12]+"\n") || !strings.Contains(told.Files["/etc/resolv.conf"], "\nnameserver 127.0.0.11\n") {
		t.Errorf("files: %q", told.Files)
	}
	w.networks.mu.Lock()
	opened := w.networks.open[id]
	w.networks.mu.Unlock()
	if !opened {
		t.Error("its endpoints were not opened")
	}
	stats, _, err := w.engine.Stats(t.Context(), id)
	check(t, err)
	if stats.Networks["eth0"].RxBytes != 7 {
		t.Errorf("stats: %+v", stats.Networks)
	}
	shown, err := w.engine.Inspect(t.Context(), id, false)
	check(t, err)
	list, err := w.engine.List(t.Context(), ListOptions{Filters: `{"network":["of-mi"]}`})
	check(t, err)
	if shown.NetworkSettings.Networks["mine"].NetworkID != "of-mine" || !strings.Contains(string(list), "of-mine") {
		t.Errorf("inspect %+v, list %s", shown.NetworkSettings.Networks, list)
	}
	// The next frontend takes the run up with its membership, and its end leaves the network.
	w.stop()
	w.start()
	w.status(id, record.Running)
	if w.networks.count() != 1 {
		t.Error("the membership was lost")
	}
	check(t, w.engine.Stop(t.Context(), id, StopOptions{}))
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	w.idle()
}

// A start that fails, at whatever step, leaves its networks.
func TestFailedStartLeavesNetworks(t *testing.T) {
	taken := errdefs.ErrAlreadyExists.WithMessage("port is already allocated")
	for method, err := range map[string]error{"Join": taken, "Open": taken, "": nil} {
		w := newWorld(t)
		w.networks.setRefusal(method, err)
		args := "run"
		if err == nil {
			args = "missing"
		}
		id := w.create(args, in("mine"))
		if got := w.engine.Start(t.Context(), id); got == nil || err != nil && !strings.Contains(got.Error(), "port is already allocated") {
			t.Errorf("%s: %v", method, got)
		}
		w.idle()
		check(t, w.engine.Remove(t.Context(), id, RemoveOptions{}))
	}
}

func TestRefusedAtCreate(t *testing.T) {
	w := newWorld(t)
	w.networks.setRefusal("Check", errdefs.ErrNotFound.WithMessage("network mine not found"))
	if _, err := w.make("run", in("mine")); !errdefs.IsNotFound(err) {
		t.Errorf("%v", err)
	}
	w.idle()
}

// What ended while no frontend ran has left its networks before its policy starts it again.
func TestNetworksOfLostRuns(t *testing.T) {
	w := newWorld(t)
	lost, again := w.run("run", in("mine")), w.run("run", in("mine"), policy("always", 0))
	w.stop()
	w.helper.Kill(lost)
	w.helper.Kill(again)
	w.start()
	w.status(lost, record.Exited)
	w.status(again, record.Running)
	if w.networks.count() != 1 {
		t.Errorf("%d memberships", w.networks.count())
	}
	check(t, w.engine.Remove(t.Context(), again, RemoveOptions{Force: true}))
	w.idle()
}

func TestLiveChange(t *testing.T) {
	w := newWorld(t)
	id := w.run("run", in("mine"))
	joiner := w.run("run", joins(id))
	box := w.helper.Box(id)
	m := proto.Clone(box.Network(id).Config).(*guestv1.NetworkConfig)
	next := *w.networks.Membership(id)
	next.Endpoints = append(slices.Clone(next.Endpoints), &desired.Endpoint{
		ID: "other", NetworkID: next.Endpoints[0].NetworkID, Link: "e2", Interface: "eth1", IPv4: netip.MustParsePrefix("10.1.0.2/24"),
	})
	check(t, w.engine.Plug(t.Context(), id, &next))
	told := box.Network(id)
	if len(told.Config.Interfaces) != len(m.Interfaces)+1 || !strings.Contains(told.Files["/etc/hosts"], "\n10.1.0.2\t") {
		t.Errorf("the agent was told %v", told)
	}
	if !strings.Contains(box.Network(joiner).Files["/etc/hosts"], "\n10.1.0.2\t"+id[:12]) {
		t.Errorf("the one that uses its network was told %v", box.Network(joiner).Files)
	}
	check(t, w.engine.TellNames(t.Context(), id, &guestv1.NameTable{Generation: 5}))
	if g := box.Network(id).Names.GetGeneration(); g != 5 {
		t.Errorf("names of generation %d", g)
	}
	_, err := w.engine.ChangeNetworking(t.Context(), id, func(r *record.Container) error {
		r.Networking = map[string]*networktypes.EndpointSettings{"other": {}}
		return nil
	})
	check(t, err)
	if w.record(id).Networking["other"] == nil {
		t.Error("the change was not committed")
	}
	check(t, w.engine.Remove(t.Context(), joiner, RemoveOptions{Force: true}))
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	if err := w.engine.Plug(t.Context(), id, &next); !errdefs.IsNotFound(err) {
		t.Errorf("%v", err)
	}
	check(t, w.engine.TellNames(t.Context(), id, &guestv1.NameTable{}))
	w.idle()
}

// A sandbox of the fabric's own is no leftover.
func TestForeignSandboxStays(t *testing.T) {
	w := newWorld(t)
	id := strings.Repeat("f", 64)
	w.networks.foreign = []string{id}
	w.stop()
	w.helper.Boot(id)
	w.start()
	check(t, w.sandboxes.Ready(t.Context()))
	if !slices.Contains(w.helper.Running(), id) {
		t.Error("it was stopped")
	}
	w.helper.Kill(id)
	w.idle()
}

func TestLinksOfTheDefaultNetwork(t *testing.T) {
	w := newWorld(t)
	linked := func(links ...string) func(*normal.Request) {
		return func(r *normal.Request) { r.HostConfig.NetworkMode, r.HostConfig.Links = "bridge", links }
	}
	if _, err := w.make("run", linked("nobody:db")); !errdefs.IsNotFound(err) || !strings.HasPrefix(err.Error(), "could not get container for nobody") {
		t.Errorf("%v", err)
	}
	child := w.create("run", in("bridge"), func(r *normal.Request) {
		r.Hostname, r.Env = "db-host", []string{"PATH=/x", "MODE=fast"}
		r.ExposedPorts = networktypes.PortSet{networktypes.MustParsePort("53/udp"): {}, networktypes.MustParsePort("53/tcp"): {}}
	})
	childName := w.record(child).Name
	parent := w.create("run", linked(childName+":the-db"))
	if err := w.engine.Start(t.Context(), parent); err == nil || err.Error() != "Cannot link to a non running container: /"+childName+" AS /"+w.record(parent).Name+"/the-db" {
		t.Errorf("%v", err)
	}
	check(t, w.engine.Start(t.Context(), child))
	check(t, w.engine.Start(t.Context(), parent))
	const line = "\n172.18.0.2\tthe-db db-host "
	if hosts := w.helper.Box(parent).Network(parent).Files["/etc/hosts"]; !strings.Contains(hosts, line+childName+"\n") {
		t.Errorf("%q", hosts)
	}
	env := w.engine.linkEnvironment(w.record(parent))
	want := []string{
		"THE_DB_PORT=tcp://172.18.0.2:53", "THE_DB_PORT_53_TCP=tcp://172.18.0.2:53", "THE_DB_PORT_53_TCP_ADDR=172.18.0.2", "THE_DB_PORT_53_TCP_PORT=53",
		"THE_DB_PORT_53_TCP_PROTO=tcp", "THE_DB_PORT_53_UDP=udp://172.18.0.2:53", "THE_DB_PORT_53_UDP_ADDR=172.18.0.2", "THE_DB_PORT_53_UDP_PORT=53",
		"THE_DB_PORT_53_UDP_PROTO=udp", "THE_DB_NAME=/" + w.record(parent).Name + "/the-db", "THE_DB_ENV_MODE=fast",
	}
	if !slices.Equal(env, want) {
		t.Errorf("%q\nwant %q", env, want)
	}
	shown, err := w.engine.Inspect(t.Context(), parent, false)
	check(t, err)
	if l := "/" + childName + ":/" + w.record(parent).Name + "/the-db"; !slices.Equal(shown.HostConfig.Links, []string{l}) {
		t.Errorf("%q, want %q", shown.HostConfig.Links, l)
	}
	// The linked container comes back with another address.
	check(t, w.engine.Stop(t.Context(), child, StopOptions{}))
	w.status(child, record.Exited)
	w.networks.mu.Lock()
	w.networks.address = netip.MustParsePrefix("172.18.0.9/16")
	w.networks.mu.Unlock()
	check(t, w.engine.Start(t.Context(), child))
	if hosts := w.helper.Box(parent).Network(parent).Files["/etc/hosts"]; !strings.Contains(hosts, "\n172.18.0.9\tthe-db ") {
		t.Errorf("%q", hosts)
	}
	check(t, w.engine.Remove(t.Context(), w.record(parent).Name+"/the-db", RemoveOptions{Link: true}))
	if hosts := w.helper.Box(parent).Network(parent).Files["/etc/hosts"]; strings.Contains(hosts, "the-db") {
		t.Errorf("%q", hosts)
	}
	for _, id := range []string{parent, child} {
		check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	}
	w.idle()
}

// A container that shares another one's processes and not its network gets its link in the other's sandbox.
func TestNetworkOfOwnInASharedSandbox(t *testing.T) {
	w := newWorld(t)
	owner := w.run("run", in("mine"), func(r *normal.Request) { r.HostConfig.IpcMode = "shareable" })
	joiner := w.run("run", in("mine"), func(r *normal.Request) { r.HostConfig.PidMode = types.PidMode("container:" + owner) })
	if got := w.helper.Switch.Links(owner); !slices.Equal(got, []string{"e1"}) || w.helper.Box(owner).Network(joiner).Config == nil {
		t.Errorf("links %v were added", got)
	}
	check(t, w.engine.Remove(t.Context(), joiner, RemoveOptions{Force: true}))
	w.networks.mu.Lock()
	if !slices.Equal(w.networks.unplugged, []string{"e1"}) {
		t.Errorf("links %v were taken away", w.networks.unplugged)
	}
	w.networks.mu.Unlock()
	check(t, w.engine.Remove(t.Context(), owner, RemoveOptions{Force: true}))
	w.idle()
}

// TestStartAfterACopy: a sandbox that was booted for a copy into a created container has no links; its start adds them.
func TestStartAfterACopy(t *testing.T) {
	w := newWorld(t)
	id := w.create("run", in("mine"))
	_, err := w.engine.Changes(t.Context(), id)
	check(t, err)
	check(t, w.engine.Start(t.Context(), id))
	if n := w.helper.Calls()["CreateSandbox"]; n != 1 {
		t.Errorf("%d boots", n)
	}
	if got := w.helper.Switch.Links(id); !slices.Equal(got, []string{"e1"}) {
		t.Errorf("links %v were added", got)
	}
	check(t, w.engine.Remove(t.Context(), id, RemoveOptions{Force: true}))
	w.idle()
}

// A container that starts again in a sandbox that another one keeps has left no link of its last run behind.
func TestRestartUnderAnother(t *testing.T) {
	w := newWorld(t)
	first := w.run("run", in("mine"))
	joiner := w.run("run", in("container:"+first))
	removed := func() int {
		w.networks.mu.Lock()
		defer w.networks.mu.Unlock()
		return w.networks.removed
	}
	for i := range 2 {
		check(t, w.engine.Restart(t.Context(), first, StopOptions{}))
		if removed() != i+1 || !slices.Equal(w.helper.Switch.Links(first), []string{"e1"}) {
			t.Errorf("%d links were removed in %d restarts, %v were added", removed(), i+1, w.helper.Switch.Links(first))
		}
	}
	check(t, w.engine.Stop(t.Context(), joiner, StopOptions{}))
	// With the last container the sandbox goes, and its links with it.
	check(t, w.engine.Stop(t.Context(), first, StopOptions{}))
	w.idle()
	if removed() != 2 {
		t.Errorf("%d links were removed from a sandbox that went", removed())
	}
}
