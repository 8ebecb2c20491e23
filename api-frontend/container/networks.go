package container

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/network/desired"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Networks gives containers their places in networks.
type Networks interface {
	// Check refuses a container at its creation; it may bring the names of its networks into their normal form.
	Check(rec *record.Container) error
	// Join commits the endpoints of a run that begins, Open lets them speak and publishes their ports, Leave ends all of it.
	Join(ctx context.Context, rec *record.Container) (*desired.Membership, error)
	Open(ctx context.Context, m *desired.Membership) error
	Leave(ctx context.Context, id string) error
	// Membership is what a run has; nil: none.
	Membership(id string) *desired.Membership
	Names(id string) *guestv1.NameTable
	// Renamed is told of a container that has another name.
	Renamed(ctx context.Context, rec *record.Container) error
	// Forget is told of a container that was removed.
	Forget(ctx context.Context, id string) error
	// Reconcile ends what is left of runs that are over.
	Reconcile(ctx context.Context, running func(id string) bool) error
	// Complete adds to what is shown of a container.
	Complete(settings *view.NetworkSettings, rec *record.Container)
}

// Fabric is what carries the networks.
type Fabric interface {
	// Reconcile is called whenever vmhelper was (re)connected, before the containers are reconciled. It takes what is its
	// own of the running sandboxes and returns the others.
	Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) (others []*vmhelperv1.Sandbox, err error)
	Counters(ctx context.Context, endpointIDs ...string) ([]network.Counters, error)
	// RemoveLink takes the link of an endpoint out of a sandbox that goes on.
	RemoveLink(ctx context.Context, ep *desired.Endpoint) error
	// Prepare is told that networks will be needed soon.
	Prepare()
	// Owns tells whether a sandbox, and its writable layer, is its own.
	Owns(id string) bool
	MTU() uint32
}

// UseNetworks sets the networks and what carries them, before Run.
func (e *Engine) UseNetworks(n Networks, f Fabric) { e.networks, e.fabric = n, f }

// networked tells whether the run of a container has endpoints of its own.
func networked(rec *record.Container) bool {
	return !rec.HostConfig.NetworkMode.IsContainer() && !rec.Config.NetworkDisabled
}

// join commits the endpoints of a run that begins.
func (r *run) join(ctx context.Context, rec *record.Container) error {
	if !networked(rec) {
		return nil
	}
	r.joined = true
	m, err := r.e.networks.Join(ctx, rec)
	if err != nil {
		return err
	}
	r.membership = m
	return nil
}

// open lets the endpoints of a run speak; it is called while the sandbox boots.
func (r *run) open(ctx context.Context) error {
	if r.membership == nil {
		return nil
	}
	return r.e.networks.Open(ctx, r.membership)
}

// unplug takes the links out of a sandbox that goes on: whoever is left in the network namespace of a container that
// has ended is without a network, as in dockerd, and the next run has links of its own.
func (r *run) unplug(ctx context.Context, m *desired.Membership) error {
	if m == nil || r.box == nil || !r.box.HeldByOthers(r.c.id) {
		return nil
	}
	for _, ep := range m.Endpoints {
		if ep.Link == "" {
			continue
		}
		if err := r.e.fabric.RemoveLink(ctx, ep); err != nil {
			return err
		}
	}
	return nil
}

// part ends what the run has of networks.
func (r *run) part(ctx context.Context) {
	if !r.joined {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	m := r.e.networks.Membership(r.c.id)
	if err := r.e.networks.Leave(ctx, r.c.id); err != nil {
		r.e.log.Error("leave networks", "container", r.c.id, "error", err)
	}
	if err := r.unplug(ctx, m); err != nil {
		r.e.log.Error("remove links from a shared sandbox", "container", r.c.id, "error", err)
	}
}

// links are the links that a run needs of its sandbox.
func links(m *desired.Membership, trunk bool, mtu uint32) (all []*vmhelperv1.Link) {
	if m == nil {
		return nil
	}
	for _, ep := range m.Endpoints {
		if ep.Link == "" {
			continue // In the host's network, or in none.
		}
		l := &vmhelperv1.Link{Name: ep.Link, Mac: ep.MAC, Mtu: mtu}
		if n := m.Networks[ep.NetworkID]; n.MTU > 0 {
			l.Mtu = n.MTU
		}
		if !trunk {
			all = append(all, l)
		} else if len(all) == 0 {
			all = append(all, &vmhelperv1.Link{Name: ep.Link})
		}
	}
	return all
}

// membershipOf is what the networks know of the container whose network rec uses.
func (e *Engine) membershipOf(rec *record.Container) *desired.Membership {
	if id := rec.HostConfig.NetworkMode.ConnectedContainer(); id != "" {
		return e.networks.Membership(id)
	}
	return e.networks.Membership(rec.ID)
}

// ChangeNetworking commits a change of a container's networks under its turn.
func (e *Engine) ChangeNetworking(ctx context.Context, id string, f func(rec *record.Container) error) (*record.Container, error) {
	c, err := e.Get(id)
	if err != nil {
		return nil, err
	}
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	defer c.unlock()
	if st := c.Record().State.Status; st == record.Removing || st == record.Dead {
		return nil, &sentence{"container " + c.id + " is marked for removal and cannot be connected or disconnected", errdefs.ErrPermissionDenied}
	}
	return e.change(c, f)
}

// Plug makes a running container's interfaces, routes and injected files as its membership says.
func (e *Engine) Plug(ctx context.Context, id string, m *desired.Membership) error {
	c, err := e.Get(id)
	if err != nil {
		return err
	}
	defer c.entry.Store(nil)
	agent, err := e.RunningAgent(c.id)
	if err != nil {
		return err
	}
	rec := c.Record()
	w, err := e.specWorld(rec)
	if err != nil {
		return err
	}
	_, err = agent.ConfigureNetwork(ctx, &guestv1.ConfigureNetworkRequest{
		ContainerId: c.id, Config: oci.NetworkConfig(rec, m, w, e.fabric.MTU()),
	})
	if err := sandbox.Native(err); err != nil {
		return fmt.Errorf("configure the network of container %s: %w", c.id, err)
	}
	for _, other := range e.All() { // Those that use its network have its names too.
		if r := other.Record(); r.ID == c.id || r.HostConfig.NetworkMode.ConnectedContainer() == c.id && r.State.IsRunning() {
			if err := e.rewrite(ctx, r, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite rewrites the injected files of a running container that change with its networks.
func (e *Engine) rewrite(ctx context.Context, rec *record.Container, m *desired.Membership) error {
	agent, err := e.RunningAgent(rec.ID)
	if err != nil {
		return err
	}
	w, err := e.specWorld(rec)
	if err != nil {
		return err
	}
	in, err := e.filesInput(rec, m)
	if err != nil {
		return err
	}
	req := &guestv1.WriteFilesRequest{ContainerId: rec.ID}
	for _, f := range oci.NetworkFiles(rec, w, in) {
		if !mounted(rec, f.Path) {
			req.Files = append(req.Files, f)
		}
	}
	_, err = agent.WriteFiles(ctx, req)
	if err := sandbox.Native(err); err != nil {
		return fmt.Errorf("rewrite the files of container %s: %w", rec.ID, err)
	}
	return nil
}

// mounted tells whether the container has a mount of its own at a path.
func mounted(rec *record.Container, path string) bool {
	for _, m := range rec.Mounts {
		if m.Destination == path {
			return true
		}
	}
	return false
}

// TellNames gives a running container its table of names. One that is just being started is told by its start.
func (e *Engine) TellNames(ctx context.Context, id string, t *guestv1.NameTable) error {
	agent, err := e.RunningAgent(id)
	if err != nil {
		return nil //nolint:nilerr // It does not run, or not yet: launch looks again.
	}
	_, err = agent.SetNames(ctx, &guestv1.SetNamesRequest{ContainerId: id, Names: t})
	return sandbox.Native(err)
}

// retell gives a run the names that came while it was being started.
func (r *run) retell(ctx context.Context, told *guestv1.NameTable) {
	t := r.e.networks.Names(r.c.id)
	if t == nil || t.Generation <= told.GetGeneration() {
		return
	}
	if _, err := r.box.Agent().SetNames(ctx, &guestv1.SetNamesRequest{ContainerId: r.c.id, Names: t}); err != nil {
		r.e.log.Warn("tell names", "container", r.c.id, "error", err)
	}
}

// networkStats are the counters of the endpoints of a container, by interface.
func (e *Engine) networkStats(ctx context.Context, rec *record.Container) map[string]container.NetworkStats {
	m := e.membershipOf(rec)
	if m == nil {
		return nil
	}
	var ids []string
	names := map[string]string{}
	for _, ep := range m.Endpoints {
		if ep.Link != "" {
			ids, names[ep.ID] = append(ids, ep.ID), ep.Interface
		}
	}
	counters, err := e.fabric.Counters(ctx, ids...)
	if err != nil {
		e.log.Warn("count the frames of a container", "container", rec.ID, "error", err)
		return nil
	}
	stats := make(map[string]container.NetworkStats, len(counters))
	for _, n := range counters {
		stats[names[n.EndpointID]] = container.NetworkStats{
			RxBytes: n.RxBytes, RxPackets: n.RxPackets, RxDropped: n.RxDropped,
			TxBytes: n.TxBytes, TxPackets: n.TxPackets, TxDropped: n.TxDropped,
		}
	}
	return stats
}

// settings shows what a container has of networks.
func (e *Engine) settings(rec *record.Container) *view.NetworkSettings {
	s := view.NewNetworkSettings(rec)
	e.networks.Complete(s, rec)
	return s
}
