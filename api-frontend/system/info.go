package system

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/internal/version"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
)

// Info describes the engine, the machine and what they can do.
func (s *Service) Info(ctx context.Context) *system.Info {
	c := s.o.Config()
	info := &system.Info{
		ID:                 s.o.ID,
		Driver:             "overlay2",
		Debug:              c.Debug,
		NGoroutines:        runtime.NumGoroutine(),
		NFd:                s.host.descriptors(),
		SystemTime:         time.Now().Format(time.RFC3339Nano),
		LoggingDriver:      c.LogDriver,
		CgroupDriver:       "cgroupfs",
		CgroupVersion:      s.host.cgroup.version,
		KernelVersion:      s.host.kernel,
		OperatingSystem:    s.host.system,
		OSVersion:          s.host.release,
		OSType:             osType,
		Architecture:       s.host.machine,
		IndexServerAddress: "https://index.docker.io/v1/",
		RegistryConfig:     registryConfig(c),
		NCPU:               runtime.NumCPU(),
		MemTotal:           s.host.memory,
		GenericResources:   nil,
		DockerRootDir:      s.o.Home,
		HTTPProxy:          mask(c.HTTPProxy),
		HTTPSProxy:         mask(c.HTTPSProxy),
		NoProxy:            c.NoProxy,
		Labels:             append([]string{}, c.Labels...),
		ServerVersion:      version.Get().Version,
		Runtimes:           map[string]system.RuntimeWithStatus{"runc": {Runtime: system.Runtime{Path: "runc"}}},
		DefaultRuntime:     "runc",
		Swarm:              swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive},
		LiveRestoreEnabled: c.LiveRestore,
		InitBinary:         "arca-init",
		RuncCommit:         system.Commit{ID: s.o.Runc.Commit},
		InitCommit:         system.Commit{ID: s.o.Init.Commit},
		SecurityOptions:    s.host.security(),
		CDISpecDirs:        []string{},
		Plugins: system.PluginsInfo{
			Volume:  []string{"local"},
			Network: []string{"null"},
			Log:     []string{"json-file", "local"},
		},
	}
	info.ContainersRunning, info.ContainersPaused, info.ContainersStopped = s.o.Containers.CountContainers()
	info.Containers = info.ContainersRunning + info.ContainersPaused + info.ContainersStopped
	info.NEventsListener = s.o.Listeners.Subscribers()
	s.host.limits(info)
	var err error
	if info.Images, err = s.o.Images.CountImages(ctx); err != nil {
		warn(info, "images cannot be counted: %v", err)
	}
	if info.Name, err = os.Hostname(); err != nil {
		warn(info, "the machine's name is not known: %v", err)
	}
	s.describeHelper(ctx, info)
	return info
}

// describeHelper adds what vmhelper says of itself.
func (s *Service) describeHelper(ctx context.Context, info *system.Info) {
	info.DriverStatus = [][2]string{{"Backing Filesystem", "ext4"}}
	helper, err := s.o.Helper.HelperInfo(ctx)
	if err != nil {
		warn(info, "vmhelper does not answer: %v", err)
		return
	}
	info.DriverStatus = append(info.DriverStatus, [2]string{"Sandbox Driver", helper.Driver}, [2]string{"vmhelper Version", helper.Version})
	if helper.HostNetwork {
		info.Plugins.Network = append([]string{"host"}, info.Plugins.Network...)
	}
	if !helper.KernelPerContainer {
		warn(info, "Containers share this machine's kernel: access to the API is equivalent to root access on this machine")
	}
}

func warn(info *system.Info, format string, args ...any) {
	info.Warnings = append(info.Warnings, "WARNING: "+fmt.Sprintf(format, args...))
}

// registryConfig shows mirrors and insecure registries as dockerd does.
func registryConfig(c *config.Config) *registry.ServiceConfig {
	const hub = "docker.io"
	out := &registry.ServiceConfig{
		InsecureRegistryCIDRs: []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("127.0.0.0/8")},
		Mirrors:               append([]string{}, c.Mirrors...),
		IndexConfigs: map[string]*registry.IndexInfo{
			hub: {Name: hub, Mirrors: append([]string{}, c.Mirrors...), Secure: true, Official: true},
		},
	}
	for _, insecure := range c.InsecureRegistries {
		if prefix, err := netip.ParsePrefix(insecure); err == nil {
			out.InsecureRegistryCIDRs = append(out.InsecureRegistryCIDRs, prefix)
			continue
		}
		out.IndexConfigs[insecure] = &registry.IndexInfo{Name: insecure, Mirrors: []string{}}
	}
	return out
}
