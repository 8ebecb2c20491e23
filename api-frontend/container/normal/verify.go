package normal

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/sys/signal"
)

// checkCombinations is what moby's runconfig refuses while it decodes.
func (p *Prepared) checkCombinations() error {
	c, hc := p.config, p.host
	if string(hc.NetworkMode) == "container" || hc.NetworkMode.IsContainer() {
		switch {
		case hc.NetworkMode.ConnectedContainer() == "":
			return errNetworkFormat
		case c.Hostname != "":
			return errNetworkHostname
		case len(hc.Links) > 0:
			return errNetworkAndLinks
		case len(hc.DNS) > 0:
			return errNetworkAndDNS
		case len(hc.ExtraHosts) > 0:
			return errNetworkHosts
		case len(hc.PortBindings) > 0 || hc.PublishAllPorts:
			return errNetworkPublish
		case len(c.ExposedPorts) > 0:
			return errNetworkExpose
		}
	}
	if hc.UTSMode.IsHost() && c.Hostname != "" {
		return errUTSHostname
	}
	if hc.NetworkMode.IsHost() && len(hc.Links) > 0 {
		return errHostAndLinks
	}
	if i := strings.ToLower(string(hc.Isolation)); i != "" && i != "default" {
		return invalidf("invalid isolation (%s): linux only supports 'default'", hc.Isolation)
	}
	return nil
}

// verify is moby's verifyContainerSettings.
func (p *Prepared) verify() error {
	if err := checkConfig(p.config); err != nil {
		return err
	}
	if err := p.checkHost(); err != nil {
		return err
	}
	warnings, err := p.env.Kernel.resources(&p.host.Resources, false)
	p.warnings = append(p.warnings, warnings...)
	if err != nil {
		return err
	}
	if p.kernelMemory || p.kernelMemoryTCP {
		return errKernelMemory
	}
	return p.checkPlatform()
}

func checkConfig(c *container.Config) error {
	if c.WorkingDir != "" {
		if !path.IsAbs(c.WorkingDir) {
			return invalidf("the working directory '%s' is invalid, it needs to be an absolute path", c.WorkingDir)
		}
		c.WorkingDir = path.Clean(c.WorkingDir)
	}
	if c.StopSignal != "" {
		if _, err := signal.ParseSignal(c.StopSignal); err != nil {
			return invalid(err.Error())
		}
	}
	for _, e := range c.Env {
		if k, _, _ := strings.Cut(e, "="); k == "" {
			return invalid("invalid environment variable: " + e)
		}
		if hasNul(e) {
			return invalidf("invalid environment variable: %q contains nul byte", e)
		}
	}
	for name, values := range map[string][]string{"Cmd": c.Cmd, "Entrypoint": c.Entrypoint, "User": {c.User}, "WorkingDir": {c.WorkingDir}} {
		if slices.ContainsFunc(values, hasNul) {
			return invalidf("invalid %s: a string contains nul byte", name)
		}
	}
	if err := checkHostname("hostname", c.Hostname); err != nil {
		return err
	}
	if err := checkHostname("domainname", c.Domainname); err != nil {
		return err
	}
	return checkHealth(c.Healthcheck)
}

func hasNul(s string) bool { return strings.IndexByte(s, 0) >= 0 }

func checkHealth(h *container.HealthConfig) error {
	if h == nil {
		return nil
	}
	const least = container.MinimumDuration
	switch {
	case h.Interval != 0 && h.Interval < least:
		return invalidf("Interval in Healthcheck cannot be less than %s", least)
	case h.Timeout != 0 && h.Timeout < least:
		return invalidf("Timeout in Healthcheck cannot be less than %s", least)
	case h.Retries < 0:
		return invalid("Retries in Healthcheck cannot be negative")
	case h.StartPeriod != 0 && h.StartPeriod < least:
		return invalidf("StartPeriod in Healthcheck cannot be less than %s", least)
	case h.StartInterval != 0 && h.StartInterval < least:
		return invalidf("StartInterval in Healthcheck cannot be less than %s", least)
	}
	return nil
}

func (p *Prepared) checkHost() error {
	hc := p.host
	if hc.AutoRemove && !hc.RestartPolicy.IsNone() {
		return errAutoRemoveRestart
	}
	for i := range hc.Mounts {
		if err := p.checkMount(&hc.Mounts[i]); err != nil {
			return err
		}
	}
	for _, h := range hc.ExtraHosts {
		if err := checkExtraHost(h); err != nil {
			return err
		}
	}
	if err := checkPorts(hc.PortBindings); err != nil {
		return err
	}
	if err := container.ValidateRestartPolicy(hc.RestartPolicy); err != nil {
		return invalid(err.Error())
	}
	if _, err := Capabilities(hc.CapAdd); err != nil {
		return invalidf("invalid CapAdd: %v", err)
	}
	if _, err := Capabilities(hc.CapDrop); err != nil {
		return invalidf("invalid CapDrop: %v", err)
	}
	if _, ok := hc.Annotations[""]; ok {
		return errEmptyAnnotationKey
	}
	if len(hc.StorageOpt) > 0 {
		return errStorageOpt
	}
	if len(hc.DeviceRequests) > 0 {
		r := hc.DeviceRequests[0]
		return invalidf("could not select device driver %q with capabilities: %v", r.Driver, r.Capabilities)
	}
	if len(hc.Devices) > 0 && !p.env.Features.GetHostDevices() {
		return errHostDevices
	}
	return checkDevices(hc)
}

// checkPlatform is moby's verifyPlatformContainerSettings without the limits.
func (p *Prepared) checkPlatform() error {
	hc, f := p.host, p.env.Features
	switch {
	case !hc.IpcMode.Valid() || hc.IpcMode.IsContainer() && hc.IpcMode.Container() == "":
		return invalidf("invalid IPC mode: %v", hc.IpcMode)
	case !hc.PidMode.Valid():
		return invalidf("invalid PID mode: %v", hc.PidMode)
	case hc.ShmSize < 0:
		return invalid("SHM size can not be less than 0")
	case !hc.UTSMode.Valid():
		return invalidf("invalid UTS mode: %v", hc.UTSMode)
	case !hc.UsernsMode.Valid():
		return invalidf("invalid user namespace mode: %v", hc.UsernsMode)
	case hc.OomScoreAdj < -1000 || hc.OomScoreAdj > 1000:
		return invalidf("Invalid value %d, range for oom score adj is [-1000, 1000]", hc.OomScoreAdj)
	case hc.NetworkMode.IsHost() && !f.GetHostNetwork():
		return errHostNetwork
	case hc.PidMode.IsHost() && !f.GetHostPid():
		return errHostPID
	case hc.IpcMode.IsHost() && !f.GetHostIpc():
		return errHostIPC
	case hc.UTSMode.IsHost() && !f.GetHostUts():
		return errHostUTS
	case hc.CgroupnsMode.IsHost() && !f.GetHostCgroup() && p.env.Kernel.CgroupVersion != 1: // v1's default is host.
		return errHostCgroup
	}
	if hc.NetworkMode.IsHost() && len(hc.PortBindings) > 0 {
		p.warn("Published ports are discarded when using host network mode")
	}
	if hc.CgroupParent != "" {
		p.warn(warnCgroupParent)
	}
	switch hc.Runtime {
	case "":
		hc.Runtime = defaultRuntime
	case defaultRuntime, "io.containerd.runc.v2":
	default:
		return invalidf("unknown or invalid runtime name: %s", hc.Runtime)
	}
	for _, dest := range sortedKeys(hc.Tmpfs) {
		if err := checkTarget(dest); err != nil {
			return err
		}
	}
	if !hc.CgroupnsMode.Valid() {
		return invalidf("invalid cgroup namespace mode: %v", hc.CgroupnsMode)
	}
	if hc.CgroupnsMode.IsPrivate() && !p.env.Kernel.CgroupNamespaces {
		p.warn("Your kernel does not support cgroup namespaces.  Cgroup namespace setting discarded.")
	}
	return nil
}

func checkDevices(hc *container.HostConfig) error {
	for i := range hc.Devices {
		d := &hc.Devices[i]
		if !path.IsAbs(d.PathOnHost) {
			return invalidf("invalid device mapping: %q is not an absolute path", d.PathOnHost)
		}
		if d.PathInContainer == "" {
			d.PathInContainer = d.PathOnHost
		}
		if !path.IsAbs(d.PathInContainer) {
			return invalidf("invalid device mapping: %q is not an absolute path", d.PathInContainer)
		}
		if d.CgroupPermissions == "" {
			d.CgroupPermissions = "rwm"
		}
		if strings.Trim(d.CgroupPermissions, "rwm") != "" || len(d.CgroupPermissions) > 3 {
			return invalidf("invalid device mapping: bad mode specified: %s", d.CgroupPermissions)
		}
	}
	for _, r := range hc.DeviceCgroupRules {
		if _, err := ParseDeviceRule(r); err != nil {
			return err
		}
	}
	for _, u := range hc.Ulimits {
		if u == nil || u.Name == "" {
			return invalid("invalid ulimit: the name must not be empty")
		}
		if _, err := u.GetRlimit(); err != nil {
			return invalid(err.Error())
		}
		if u.Hard != -1 && (u.Soft == -1 || u.Soft > u.Hard) {
			return invalidf("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
	}
	return nil
}

// driverAndMac warns of old container-wide fields and brings them to where they belong.
func (p *Prepared) driverAndMac() error {
	if p.host.VolumeDriver != "" && !before(p.version, "1.48") {
		for _, m := range p.host.Mounts {
			o := m.VolumeOptions
			if m.Type == mount.TypeVolume && (o == nil || o.DriverConfig == nil || o.DriverConfig.Name == "") {
				p.warn("WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead")
				break
			}
		}
	}
	return p.macAddress()
}
