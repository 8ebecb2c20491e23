package fabric

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// boot starts the helper's sandbox and its program.
func (h *helper) boot(ctx context.Context) (*sandbox.Box, *watcher, error) {
	img, err := h.image.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := h.f.sandboxes.Ready(ctx); err != nil {
		return nil, nil, err
	}
	// It keeps nothing: every boot begins with the files of the image.
	if err := h.f.client.RemoveUpper(ctx, h.id); err != nil && !errdefs.IsFailedPrecondition(err) {
		return nil, nil, err
	}
	rec := h.record(img)
	w := newWatcher()
	box, err := h.f.sandboxes.Hold(ctx, h.spec(img), h.id, w)
	if err != nil {
		return nil, nil, fmt.Errorf("boot the helper's sandbox: %w", err)
	}
	req, err := h.startRequest(rec, box)
	if err != nil {
		return nil, nil, err
	}
	if _, err := box.Agent().Start(ctx, req); err != nil {
		return nil, nil, fmt.Errorf("start the helper's program: %w", sandbox.Native(err))
	}
	return box, w, nil
}

// spec is the helper's sandbox with the links of the networks that there are.
func (h *helper) spec(img *imageRecord) *vmhelperv1.SandboxSpec {
	s := &vmhelperv1.SandboxSpec{Id: h.id, Uppers: []string{h.id}, HostDevices: h.f.features().GetHostDevices()}
	for _, d := range img.Layers {
		s.Disks = append(s.Disks, &vmhelperv1.Disk{Id: d})
	}
	s.Links = []*vmhelperv1.Link{{Name: linkOVS}, {Name: linkUplink, Mtu: uplinkMTU}}
	if h.f.LinkTrunk() {
		s.Links = append(s.Links, &vmhelperv1.Link{Name: linkGateways})
		return s
	}
	state, _ := h.f.table.snapshot()
	for _, n := range state.Networks {
		if l := h.gateway(n); l != nil {
			s.Links = append(s.Links, l)
		}
	}
	return s
}

// record is the helper as if it were a container: what the specs are made of.
func (h *helper) record(img *imageRecord) *record.Container {
	command := append(append([]string{}, img.Entrypoint...), img.Cmd...)
	return &record.Container{
		ID: h.id, Name: "arca-helper", Layers: img.Layers, Path: command[0], Args: command[1:],
		Config: &container.Config{Hostname: "arca-helper", Env: img.Env},
		HostConfig: &container.HostConfig{
			// The sandbox's own network namespace: its links are there.
			NetworkMode: network.NetworkHost, IpcMode: container.IPCModePrivate, CgroupnsMode: container.CgroupnsModePrivate,
			CapAdd: []string{"NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYS_NICE", "IPC_LOCK"}, CapDrop: []string{"MKNOD", "AUDIT_WRITE"},
			ReadonlyPaths: []string{}, // it sets sysctls of its network namespace.
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			Tmpfs:         map[string]string{"/run": "mode=755,size=64m", "/tmp": "mode=1777,size=16m"},
			ShmSize:       16 << 20,
			Resources: container.Resources{Devices: []container.DeviceMapping{
				{PathOnHost: "/dev/net/tun", PathInContainer: "/dev/net/tun", CgroupPermissions: "rwm"},
			}},
		},
		Mounts: []record.MountPoint{
			{Type: "tmpfs", Destination: "/run", RW: true, TmpfsOptions: []string{"mode=755", "size=64m"}},
			{Type: "tmpfs", Destination: "/tmp", RW: true, TmpfsOptions: []string{"mode=1777", "size=16m"}},
		},
		LogConfig: container.LogConfig{Type: "none"},
		State:     record.State{Status: record.Created},
	}
}

func (h *helper) startRequest(rec *record.Container, box *sandbox.Box) (*guestv1.StartRequest, error) {
	in := &oci.StartInput{Refs: oci.Refs{Disks: map[string]string{}}}
	for _, id := range rec.Layers {
		a, err := box.Attachment(vmhelperv1.Attachment_DISK, id)
		if err != nil {
			return nil, err
		}
		in.Refs.Disks[id] = a.Ref
	}
	upper, err := box.Attachment(vmhelperv1.Attachment_UPPER, rec.ID)
	if err != nil {
		return nil, err
	}
	in.Refs.Upper = upper.Ref
	w := h.world
	w.Init = false
	req, err := oci.StartRequest(rec, &w, in)
	if err != nil {
		return nil, fmt.Errorf("specify the helper's program: %w", err)
	}
	return req, nil
}
