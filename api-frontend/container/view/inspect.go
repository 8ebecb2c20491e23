package view

import (
	"maps"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/storage"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Driver is the storage driver that inspect and info show.
const Driver = "overlay2"

// Inspect is the answer of GET /containers/{name}/json up to API 1.51.
type Inspect struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           *container.State
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	HostConfig      *container.HostConfig
	GraphDriver     storage.DriverData
	SizeRw          *int64 `json:",omitempty"`
	SizeRootFs      *int64 `json:",omitempty"`
	Mounts          []container.MountPoint
	Config          *Config
	NetworkSettings *NetworkSettings
}

// Config is the configuration with the field that today's types lost.
type Config struct {
	*container.Config
	MacAddress string `json:",omitempty"`
}

// Facts are what inspect shows and a record does not hold.
type Facts struct {
	LogPath        string
	ResolvConfPath string
	HostnamePath   string
	HostsPath      string
	ExecIDs        []string // of execs that run.
	SizeRw         *int64   // nil: not asked.
	SizeRootFs     *int64
	Ulimits        map[string]*container.Ulimit // daemon.json's.
	Links          []string                     // of the default network, "/child:/parent/alias".
	Network        *NetworkSettings             // nil: what the record alone tells.
}

// NewInspect shows a record.
func NewInspect(c *record.Container, f *Facts) *Inspect {
	hc := *c.HostConfig
	hc.Links = f.Links
	hc.Ulimits = oci.Ulimits(hc.Ulimits, f.Ulimits)
	config := *c.Config
	if len(config.Volumes) == 0 {
		config.Volumes = nil // dockerd says null, whatever the client sent.
	}
	settings := f.Network
	if settings == nil {
		settings = NewNetworkSettings(c)
	}
	args := c.Args
	if args == nil {
		args = []string{}
	}
	return &Inspect{
		ID: c.ID, Created: stamp(c.Created), Path: c.Path, Args: args, State: state(&c.State), Image: c.ImageID,
		ResolvConfPath: f.ResolvConfPath, HostnamePath: f.HostnamePath, HostsPath: f.HostsPath, LogPath: f.LogPath,
		Name: "/" + c.Name, RestartCount: c.State.RestartCount, Driver: Driver, Platform: c.Platform.OS,
		AppArmorProfile: c.Security.AppArmor, ExecIDs: f.ExecIDs, HostConfig: &hc,
		GraphDriver: storage.DriverData{Name: Driver, Data: map[string]string{}},
		SizeRw:      f.SizeRw, SizeRootFs: f.SizeRootFs, Mounts: mounts(c),
		Config:          &Config{&config, c.MacAddress},
		NetworkSettings: settings,
	}
}

func stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

func state(s *record.State) *container.State {
	out := &container.State{
		Status: s.Status, Running: s.IsActive(), Paused: s.Status == record.Paused,
		Restarting: s.Status == record.Restarting, OOMKilled: s.OOMKilled, Dead: s.Status == record.Dead, Pid: s.Pid,
		ExitCode: s.ExitCode, Error: s.Error, StartedAt: stamp(s.StartedAt.UTC()), FinishedAt: stamp(s.FinishedAt.UTC()),
	}
	if s.Health != nil {
		h := *s.Health
		h.Status = health(s)
		if h.Log == nil {
			h.Log = []*container.HealthcheckResult{}
		}
		out.Health = &h
	}
	return out
}

func mounts(c *record.Container) []container.MountPoint {
	out := make([]container.MountPoint, 0, len(c.Mounts))
	for _, m := range c.Mounts {
		if m.Unlisted {
			continue
		}
		out = append(out, container.MountPoint{
			Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, Driver: m.Driver, Mode: m.Mode,
			RW: m.RW, Propagation: m.Propagation,
		})
	}
	return out
}

// NetworkSettings is what API 1.51 shows: today's fields and those that went with 1.52.
type NetworkSettings struct {
	Bridge                 string
	SandboxID              string
	SandboxKey             string
	Ports                  network.PortMap
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	SecondaryIPAddresses   []struct{}
	SecondaryIPv6Addresses []struct{}
	EndpointID             string
	Gateway                string
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              string
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             string
	Networks               map[string]*network.EndpointSettings
}

// NewNetworkSettings shows what a record tells of its networks; what its run has of them is added by who knows it.
func NewNetworkSettings(c *record.Container) *NetworkSettings {
	n := &NetworkSettings{Ports: ports(c), Networks: maps.Clone(c.Networking)}
	if n.Networks == nil {
		n.Networks = map[string]*network.EndpointSettings{}
	}
	if c.State.IsRunning() && !c.HostConfig.NetworkMode.IsContainer() {
		n.SandboxID, n.SandboxKey = c.ID, "/run/netns/"+c.ShortID()
	}
	if b := n.Networks[network.NetworkBridge]; b != nil {
		n.EndpointID, n.MacAddress = b.EndpointID, b.MacAddress.String()
		n.Gateway, n.IPAddress, n.IPPrefixLen = address(b.Gateway), address(b.IPAddress), b.IPPrefixLen
		n.IPv6Gateway, n.GlobalIPv6Address, n.GlobalIPv6PrefixLen = address(b.IPv6Gateway), address(b.GlobalIPv6Address), b.GlobalIPv6PrefixLen
	}
	return n
}

// ports are the exposed ports of a container that runs in a network of its own.
func ports(c *record.Container) network.PortMap {
	m := network.PortMap{}
	if mode := c.HostConfig.NetworkMode; c.State.IsRunning() && (mode.IsBridge() || mode.IsUserDefined()) {
		for p := range c.Config.ExposedPorts {
			m[p] = nil
		}
	}
	return m
}

func address(a interface {
	IsValid() bool
	String() string
}) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
