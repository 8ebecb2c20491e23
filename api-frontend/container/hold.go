package container

import (
	"context"
	"slices"

	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/volume"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// needs is what a container needs of its sandbox, and where its mounts come from.
type needs struct {
	spec    *vmhelperv1.SandboxSpec
	volumes map[string]volume.Source
	sockets map[string]string // the host's path of each bound socket, by the mount's destination.
}

// needs says what rec needs. Bind sources that are sockets need no share: their connections come back over the agent.
func (e *Engine) needs(ctx context.Context, rec *record.Container) (*needs, error) {
	n := &needs{
		spec:    &vmhelperv1.SandboxSpec{Id: rec.SandboxID(), Uppers: []string{rec.ID}},
		sockets: map[string]string{},
	}
	for _, id := range rec.Layers {
		if !slices.ContainsFunc(n.spec.Disks, func(d *vmhelperv1.Disk) bool { return d.Id == id }) {
			n.spec.Disks = append(n.spec.Disks, &vmhelperv1.Disk{Id: id})
		}
	}
	h := rec.HostConfig
	n.spec.HostNetwork = h.NetworkMode.IsHost()
	n.spec.HostPid = h.PidMode.IsHost()
	n.spec.HostIpc = h.IpcMode.IsHost()
	n.spec.HostUts = h.UTSMode.IsHost()
	n.spec.HostDevices = h.Privileged || len(h.Devices) > 0
	if h.Memory > 0 {
		n.spec.MemoryBytes = uint64(h.Memory)
	}
	if h.NanoCPUs > 0 {
		n.spec.Cpus = float64(h.NanoCPUs) / 1e9
	}
	var err error
	if n.volumes, err = e.volumes.Prepare(ctx, volumeNames(rec)...); err != nil {
		return nil, err
	}
	for _, src := range n.volumes {
		if src.ID != "" && src.Bind == nil && !slices.Contains(n.spec.Volumes, src.ID) {
			n.spec.Volumes = append(n.spec.Volumes, src.ID)
		}
	}
	slices.Sort(n.spec.Volumes)
	for i, m := range rec.Mounts {
		if err := e.share(ctx, rec, n, i, m); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// share adds what mount i needs of the host's files.
func (e *Engine) share(ctx context.Context, rec *record.Container, n *needs, i int, m record.MountPoint) error {
	s := &vmhelperv1.Share{Tag: oci.ShareTag(rec, i), HostPath: m.Source, ReadOnly: !m.RW, Create: m.CreateSource}
	switch {
	case m.Type == mount.TypeVolume && n.volumes[m.Name].Bind != nil:
		b := n.volumes[m.Name].Bind
		s.HostPath, s.ReadOnly, s.Create = b.Path, s.ReadOnly || b.ReadOnly, false
	case m.Type == mount.TypeBind:
		kind, err := e.sandboxes.Client().CheckBind(ctx, m.Source)
		if err != nil {
			return err
		}
		if kind == vmhelperv1.CheckBindResponse_SOCKET {
			n.sockets[m.Destination] = m.Source
			return nil
		}
		if kind == vmhelperv1.CheckBindResponse_ABSENT && !m.CreateSource {
			return invalid("invalid mount config for type %q: bind source path does not exist: %s", m.Type, m.Source)
		}
	default:
		return nil
	}
	n.spec.Shares = append(n.spec.Shares, s)
	return nil
}

// boundSockets finds the bind sources of a container that are sockets now. A source that cannot be looked at is none.
func (e *Engine) boundSockets(ctx context.Context, rec *record.Container) map[string]string {
	sockets := map[string]string{}
	for _, m := range rec.Mounts {
		if m.Type != mount.TypeBind {
			continue
		}
		kind, err := e.sandboxes.Client().CheckBind(ctx, m.Source)
		if err != nil {
			e.log.Warn("look at a bind source", "container", rec.ID, "path", m.Source, "error", err)
		} else if kind == vmhelperv1.CheckBindResponse_SOCKET {
			sockets[m.Destination] = m.Source
		}
	}
	return sockets
}

// hold boots the container's sandbox, or joins the one that it shares, with r as its handler.
func (e *Engine) hold(ctx context.Context, rec *record.Container, r *run) (*sandbox.Box, *needs, error) {
	n, err := e.needs(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	f := e.sandboxes.Info().GetFeatures()
	n.spec.Links = links(r.membership, f.GetLinkTrunk(), e.fabric.MTU())
	if rec.Sandbox != "" {
		if err := e.checkJoin(rec); err != nil {
			return nil, nil, err
		}
		// A maintenance sandbox of its own may still have the upper.
		if err := e.sandboxes.StopIdle(ctx, rec.ID); err != nil {
			return nil, nil, err
		}
	}
	box, err := e.sandboxes.Hold(ctx, n.spec, rec.ID, r)
	return box, n, err
}

// checkJoin refuses to join containers that do not run, in dockerd's words.
func (e *Engine) checkJoin(rec *record.Container) error {
	h := rec.HostConfig
	for _, j := range []struct{ what, id string }{
		{"network", h.NetworkMode.ConnectedContainer()}, {"PID", h.PidMode.Container()}, {"IPC", h.IpcMode.Container()},
	} {
		if j.id == "" {
			continue
		}
		c, err := e.Get(j.id)
		if err != nil {
			return err
		}
		if !c.Record().State.IsRunning() {
			return conflict("cannot join %s namespace of a non running container: container %s is %s", j.what, "/"+c.Record().Name, c.Record().State.Status)
		}
		if e.sandboxes.Box(rec.Sandbox) == nil {
			return conflict("cannot join %s namespace of a non running container: %s", j.what, j.id)
		}
	}
	return nil
}

func volumeNames(rec *record.Container) (names []string) {
	rec.Volumes(func(name string) bool {
		names = append(names, name)
		return true
	})
	return names
}
