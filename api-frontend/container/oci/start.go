package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// LowerSubdir is where the files of a layer lie within its disk.
const LowerSubdir = "rootfs"

// Refs tells how the agent finds what vmhelper attached.
type Refs struct {
	Disks   map[string]string // by the ID of the layer disk.
	Upper   string
	Volumes map[string]string // by the ID of the volume's store.
	Shares  map[string]Share  // by tag.
}

// Share is a bind source in the sandbox.
type Share struct {
	Ref   string
	IsDir bool
}

// Socket is a bind source that is a unix socket: the agent listens in its place.
type Socket struct {
	ID       string
	UID, GID uint32
	Mode     uint32
}

// StartInput is what a start needs beside the record and the World.
type StartInput struct {
	Refs    Refs
	Sockets map[string]Socket        // by destination.
	Files   []*guestv1.File          // see Files.
	Volume  func(name string) string // the ID of the store of a volume; nil: its name.
}

// ShareTag names the share of the mount of that index; it is unique in a sandbox with several containers.
func ShareTag(c *record.Container, index int) string {
	return "b" + strconv.Itoa(index) + "x" + c.ID[:min(24, len(c.ID))]
}

func (in *StartInput) volume(name string) string {
	if in.Volume == nil {
		return name
	}
	return in.Volume(name)
}

// MountRequest makes the request that builds a container's root.
func MountRequest(c *record.Container, in *StartInput) (*guestv1.MountRequest, error) {
	req := &guestv1.MountRequest{ContainerId: c.ID, Upper: in.Refs.Upper, LowerSubdir: LowerSubdir}
	if req.Upper == "" {
		return nil, errors.New("the writable layer is not attached")
	}
	for _, id := range c.Layers {
		ref, ok := in.Refs.Disks[id]
		if !ok {
			return nil, fmt.Errorf("layer disk %s is not attached", id)
		}
		req.Lowers = append(req.Lowers, ref)
	}
	own := map[string]bool{}
	for i, m := range c.Mounts {
		own[m.Destination] = true
		gm, err := guestMount(c, i, in)
		if err != nil {
			return nil, err
		}
		req.Mounts = append(req.Mounts, gm)
	}
	sortMounts(req.Mounts)
	for _, f := range in.Files {
		if !own[f.GetPath()] {
			req.Files = append(req.Files, f)
		}
	}
	return req, nil
}

func guestMount(c *record.Container, i int, in *StartInput) (*guestv1.Mount, error) {
	m := c.Mounts[i]
	g := &guestv1.Mount{Kind: guestv1.Mount_BIND, Destination: m.Destination, ReadOnly: !m.RW}
	switch m.Type {
	case mount.TypeTmpfs:
		g.Kind, g.Options, g.ReadOnly = guestv1.Mount_TMPFS, m.TmpfsOptions, false // ro is among the options.
		return g, nil
	case mount.TypeVolume:
		ref, ok := in.Refs.Volumes[in.volume(m.Name)]
		if !ok {
			return nil, fmt.Errorf("volume %s is not attached", m.Name)
		}
		g.Ref, g.Subpath, g.CopyUp = ref, m.Subpath, m.CopyUp
	case mount.TypeBind:
		if s, ok := in.Sockets[m.Destination]; ok {
			g.Kind, g.SocketId, g.SocketUid, g.SocketGid, g.SocketMode = guestv1.Mount_SOCKET, s.ID, s.UID, s.GID, s.Mode
			return g, nil
		}
		share, ok := in.Refs.Shares[ShareTag(c, i)]
		if !ok {
			return nil, fmt.Errorf("bind source %s is not attached", m.Source)
		}
		g.Ref, g.NonRecursive = share.Ref, m.NonRecursive
	default:
		return nil, fmt.Errorf("mount of unknown type %q", m.Type)
	}
	g.RecursiveReadOnly = g.ReadOnly && !m.ReadOnlyNonRecursive && !m.NonRecursive
	if m.Propagation != "" {
		g.Options = append(g.Options, string(m.Propagation))
	}
	return g, nil
}

// StartRequest makes the request that runs a container.
func StartRequest(c *record.Container, w *World, in *StartInput) (*guestv1.StartRequest, error) {
	mounts, err := MountRequest(c, in)
	if err != nil {
		return nil, err
	}
	spec, err := Spec(c, w)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode spec: %w", err)
	}
	hc := c.HostConfig
	init := w.Init
	if hc.Init != nil {
		init = *hc.Init
	}
	return &guestv1.StartRequest{
		Mount: mounts, Spec: raw, User: c.Config.User, Groups: hc.GroupAdd,
		Init: init && hc.PidMode.IsPrivate(), Terminal: c.Config.Tty, Stdin: c.Config.OpenStdin,
		ConsoleRows: uint32(hc.ConsoleSize[0]), ConsoleColumns: uint32(hc.ConsoleSize[1]),
		Network:        join(hc.NetworkMode.IsHost(), hc.NetworkMode.ConnectedContainer()),
		Pid:            join(hc.PidMode.IsHost(), hc.PidMode.Container()),
		Ipc:            join(hc.IpcMode.IsHost(), hc.IpcMode.Container()),
		Uts:            join(hc.UTSMode.IsHost(), ""),
		Cgroup:         join(!hc.CgroupnsMode.IsPrivate(), ""),
		OomKillDisable: hc.OomKillDisable != nil && *hc.OomKillDisable,
		OutputLimit:    outputLimit(c.LogConfig),
	}, nil
}

// defaultBuffer is Docker's max-buffer-size.
const defaultBuffer = 1 << 20

// outputLimit is how much output may wait for its log in the mode that drops the rest; 0 in the mode that lets the
// process wait.
func outputLimit(log container.LogConfig) uint64 {
	if container.LogMode(log.Config["mode"]) != container.LogModeNonBlock {
		return 0
	}
	n, err := units.RAMInBytes(log.Config["max-buffer-size"])
	if err != nil || n <= 0 { // None is given; others were refused at create.
		return defaultBuffer
	}
	return uint64(n)
}

func join(host bool, id string) *guestv1.NamespaceMode {
	switch {
	case host:
		return &guestv1.NamespaceMode{Kind: guestv1.NamespaceMode_SANDBOX}
	case id != "":
		return &guestv1.NamespaceMode{Kind: guestv1.NamespaceMode_CONTAINER, ContainerId: id}
	}
	return &guestv1.NamespaceMode{Kind: guestv1.NamespaceMode_PRIVATE}
}
