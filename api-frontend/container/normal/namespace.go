package normal

import (
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// other finds another container.
func (p *Prepared) other(name string) (*record.Container, error) {
	if p.env.Container == nil {
		return nil, notFound(name)
	}
	return p.env.Container(name)
}

// notFound is Docker's sentence for a container that is not there.
type notFound string

// Error is the sentence.
func (e notFound) Error() string { return "No such container: " + string(e) }

// NotFound marks the error for errdefs.IsNotFound.
func (notFound) NotFound() {}

// adapt fills in defaults and puts full IDs in the place of names, as moby's adaptContainerSettings does.
func (p *Prepared) adapt() error {
	hc, d := p.host, p.env.Defaults
	if hc.Memory > 0 && hc.MemorySwap == 0 {
		hc.MemorySwap = hc.Memory * 2
	}
	if hc.ShmSize == 0 {
		hc.ShmSize = d.ShmSize
		if hc.ShmSize == 0 {
			hc.ShmSize = defaultShmSize
		}
	}
	if hc.IpcMode.IsEmpty() {
		hc.IpcMode = d.IpcMode
		if hc.IpcMode.IsEmpty() {
			hc.IpcMode = container.IPCModePrivate
		}
	}
	if hc.CgroupnsMode.IsEmpty() {
		switch v1 := p.env.Kernel.CgroupVersion == 1; {
		case v1 && hc.Privileged:
			hc.CgroupnsMode = container.CgroupnsModeHost
		case !d.CgroupnsMode.IsEmpty():
			hc.CgroupnsMode = d.CgroupnsMode
		case v1:
			hc.CgroupnsMode = container.CgroupnsModeHost
		default:
			hc.CgroupnsMode = container.CgroupnsModePrivate
		}
	}
	if err := p.resolveJoins(); err != nil {
		return err
	}
	overridden := slices.ContainsFunc(hc.SecurityOpt, func(o string) bool { return strings.HasPrefix(o, "label=") || o == "label" })
	if !overridden && (hc.Privileged || hc.IpcMode.IsHost() || hc.PidMode.IsHost()) {
		hc.SecurityOpt = append(hc.SecurityOpt, "label=disable")
	}
	if hc.OomKillDisable == nil && p.env.Kernel.OomKillDisable {
		hc.OomKillDisable = new(bool)
	}
	if !hc.Privileged {
		if hc.MaskedPaths == nil {
			hc.MaskedPaths = slices.Clone(DefaultMaskedPaths)
		}
		if hc.ReadonlyPaths == nil {
			hc.ReadonlyPaths = slices.Clone(DefaultReadonlyPaths)
		}
	}
	return nil
}

func (p *Prepared) resolveJoins() error {
	hc := p.host
	if hc.PidMode.IsContainer() {
		c, err := p.join(hc.PidMode.Container())
		if err != nil {
			return err
		}
		hc.PidMode = container.PidMode("container:" + c.ID)
	}
	if hc.IpcMode.IsContainer() {
		c, err := p.join(hc.IpcMode.Container())
		if err != nil {
			return err
		}
		switch m := c.HostConfig.IpcMode; {
		case m.IsPrivate() || m.IsNone():
			return conflict("can't join IPC of container " + hc.IpcMode.Container() + ": non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
		}
		hc.IpcMode = container.IpcMode("container:" + c.ID)
	}
	if hc.NetworkMode.IsContainer() {
		c, err := p.join(hc.NetworkMode.ConnectedContainer())
		if err != nil {
			return err
		}
		hc.NetworkMode = container.NetworkMode("container:" + c.ID)
	}
	return nil
}

func (p *Prepared) join(name string) (*record.Container, error) {
	c, err := p.other(name)
	if err != nil && errdefs.IsNotFound(err) {
		return nil, invalid(err.Error())
	}
	return c, err
}

// sandbox tells in whose sandbox the container runs: that of the containers whose namespaces it joins, which must
// be one. The sandbox of a container that joins is that of the one it joined.
func (p *Prepared) sandbox() (string, error) {
	hc := p.host
	var of, name string
	for _, join := range []struct {
		is   bool
		name string
	}{
		{hc.NetworkMode.IsContainer(), hc.NetworkMode.ConnectedContainer()},
		{hc.PidMode.IsContainer(), hc.PidMode.Container()},
		{hc.IpcMode.IsContainer(), hc.IpcMode.Container()},
	} {
		if !join.is {
			continue
		}
		c, err := p.join(join.name)
		if err != nil {
			return "", err
		}
		if of != "" && of != c.SandboxID() {
			return "", invalidf("the namespaces of containers %s and %s cannot be joined by one container: they run in different sandboxes", name, c.Name)
		}
		of, name = c.SandboxID(), c.Name
	}
	if of == "" {
		return "", nil
	}
	return of, p.checkJoin(of)
}

// checkJoin refuses what a sandbox that runs already cannot give.
func (p *Prepared) checkJoin(of string) error {
	hc, f := p.host, p.env.Features
	if !f.GetHotDisk() {
		return errJoinDisk
	}
	bind := slices.ContainsFunc(hc.Binds, func(b string) bool { return strings.HasPrefix(b, "/") }) ||
		slices.ContainsFunc(hc.Mounts, func(m mount.Mount) bool { return m.Type == mount.TypeBind })
	if bind && !f.GetHotShare() {
		return errJoinShare
	}
	owner, err := p.join(of)
	if err != nil {
		return err
	}
	have := owner.HostConfig
	for _, host := range []struct {
		wanted, there bool
		what          string
	}{
		{hc.NetworkMode.IsHost(), have.NetworkMode.IsHost(), "network"},
		{hc.PidMode.IsHost(), have.PidMode.IsHost(), "PID"},
		{hc.IpcMode.IsHost(), have.IpcMode.IsHost(), "IPC"},
		{hc.UTSMode.IsHost(), have.UTSMode.IsHost(), "UTS"},
	} {
		if host.wanted && !host.there {
			return invalidf("the host's %s namespace cannot be used together with a namespace of container %s, which does not use it", host.what, owner.Name)
		}
	}
	return nil
}
