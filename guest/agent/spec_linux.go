package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/guest/rootfs"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// initPath is where Docker shows its init.
const initPath = "/sbin/docker-init"

// spec completes the frontend's spec with what only the agent knows.
func (a *Agent) spec(ctx context.Context, req *guestv1.StartRequest, root *rootfs.Root, c *container) (*ociSpec, error) {
	var s ociSpec
	if err := json.Unmarshal(req.Spec, &s); err != nil {
		return nil, fmt.Errorf("decode spec: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if s.Process == nil || len(s.Process.Args) == 0 {
		return nil, fmt.Errorf("the spec has no process: %w", errdefs.ErrInvalidArgument)
	}
	if s.Linux == nil {
		s.Linux = &ociLinux{}
	}
	c.readOnly = s.Root != nil && s.Root.Readonly
	s.Root = &specs.Root{Path: root.Path, Readonly: c.readOnly}
	s.Linux.CgroupsPath = cgroupPath(c.id)
	if err := a.namespaces(ctx, req, &s, c); err != nil {
		return nil, err
	}
	if err := a.shareMemory(req, &s, root); err != nil {
		return nil, err
	}
	if err := setUser(s.Process, root, req.User, req.Groups); err != nil {
		return nil, err
	}
	if err := workingDirectory(root, s.Process.Cwd); err != nil {
		return nil, err
	}
	s.Process.Terminal = req.Terminal
	if req.Terminal && req.ConsoleRows > 0 && req.ConsoleColumns > 0 {
		s.Process.ConsoleSize = &specs.Box{Height: uint(req.ConsoleRows), Width: uint(req.ConsoleColumns)}
	}
	s.Mounts = append(s.Mounts, specMounts(root)...)
	if req.Init && c.privatePID {
		if a.world.Init == "" {
			return nil, fmt.Errorf("this sandbox has no init: %w", errdefs.ErrFailedPrecondition)
		}
		s.Process.Args = append([]string{initPath, "--"}, s.Process.Args...)
		s.Mounts = append(s.Mounts, specs.Mount{Destination: initPath, Source: a.world.Init, Type: "bind", Options: []string{"bind", "ro"}})
	}
	return &s, nil
}

// shareMemory puts the /dev/shm of the container whose IPC namespace is joined in the place of a new one.
func (a *Agent) shareMemory(req *guestv1.StartRequest, s *ociSpec, root *rootfs.Root) error {
	if req.Ipc.GetKind() != guestv1.NamespaceMode_CONTAINER {
		return nil
	}
	p, err := a.process(req.Ipc.ContainerId, "")
	if err != nil {
		return err
	}
	if err := root.Share(p.pid); err != nil {
		return err
	}
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == rootfs.SharedMemory })
	return nil
}

func cgroupPath(id string) string { return "/arca/" + id }

// specMounts says the staged mounts in runc's language.
func specMounts(root *rootfs.Root) []specs.Mount {
	var out []specs.Mount
	for _, m := range root.Mounts {
		sm := specs.Mount{Destination: m.Destination, Source: m.Source, Type: "bind"}
		switch m.Kind {
		case guestv1.Mount_TMPFS:
			sm.Type, sm.Source = "tmpfs", "tmpfs"
		case guestv1.Mount_SOCKET:
			sm.Options = []string{"bind"}
		default:
			sm.Options = []string{"rbind"}
			if !m.Recursive {
				sm.Options = []string{"bind"}
			}
		}
		switch {
		case m.RecursiveRO:
			sm.Options = append(sm.Options, "rro")
		case m.ReadOnly:
			sm.Options = append(sm.Options, "ro")
		}
		sm.Options = append(sm.Options, m.Options...)
		if sm.Type == "bind" && !hasPropagation(sm.Options) {
			sm.Options = append(sm.Options, "rprivate")
		}
		out = append(out, sm)
	}
	return out
}

func hasPropagation(options []string) bool {
	for _, o := range options {
		switch strings.TrimPrefix(o, "r") {
		case "shared", "slave", "private", "unbindable":
			return true
		}
	}
	return false
}

func (a *Agent) namespaces(ctx context.Context, req *guestv1.StartRequest, s *ociSpec, c *container) error {
	modes := []struct {
		kind specs.LinuxNamespaceType
		file string
		mode *guestv1.NamespaceMode
	}{
		{specs.PIDNamespace, "pid", req.Pid},
		{specs.IPCNamespace, "ipc", req.Ipc},
		{specs.UTSNamespace, "uts", req.Uts},
		{specs.CgroupNamespace, "cgroup", req.Cgroup},
	}
	set := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if ns, err := a.enterNetwork(ctx, req, s, c); err != nil {
		return err
	} else if ns != nil {
		set = append(set, *ns)
	}
	for _, m := range modes {
		ns := specs.LinuxNamespace{Type: m.kind}
		switch m.mode.GetKind() {
		case guestv1.NamespaceMode_PRIVATE:
			c.privatePID = c.privatePID || m.kind == specs.PIDNamespace
		case guestv1.NamespaceMode_CONTAINER:
			p, err := a.process(m.mode.ContainerId, "")
			if err != nil {
				return err
			}
			if !p.running() {
				return fmt.Errorf("container %.12s is not running: %w", m.mode.ContainerId, errdefs.ErrFailedPrecondition)
			}
			ns.Path = filepath.Join("/proc", fmt.Sprint(p.pid), "ns", m.file)
		case guestv1.NamespaceMode_SANDBOX:
			continue
		default:
			return fmt.Errorf("namespace mode %d: %w", m.mode.GetKind(), errdefs.ErrInvalidArgument)
		}
		set = append(set, ns)
	}
	s.Linux.Namespaces = set
	return nil
}
