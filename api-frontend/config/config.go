package config

import (
	"maps"
	"slices"

	"github.com/docker/go-units"
)

// Defaults are dockerd's.
const (
	defaultShmSize         = 64 << 20
	defaultDownloads       = 3
	defaultUploads         = 5
	defaultAttempts        = 5
	defaultShutdownTimeout = 15
)

// Config is the engine's configuration, complete and checked.
type Config struct {
	// Debug raises LogLevel to debug.
	Debug    bool
	LogLevel string
	// Hosts are the addresses to serve on, with their scheme; empty means the instance's own socket.
	Hosts []string
	// Group may use the socket.
	Group string

	TLS       bool
	TLSVerify bool
	TLSCACert string
	TLSCert   string
	TLSKey    string

	// Mirrors stand before Docker Hub; each ends with a slash.
	Mirrors            []string
	InsecureRegistries []string
	HTTPProxy          string
	HTTPSProxy         string
	NoProxy            string

	MaxConcurrentDownloads int
	MaxConcurrentUploads   int
	MaxDownloadAttempts    int

	LogDriver string
	LogOpts   map[string]string

	// Labels are the engine's own, as info shows them.
	Labels []string

	// What containers get when they do not say otherwise.
	Init            bool
	ShmSize         Bytes
	Ulimits         Ulimits
	CgroupnsMode    string
	IpcMode         string
	DNS             []string
	DNSOptions      []string
	DNSSearch       []string
	ShutdownTimeout int
	// LiveRestore says what dockerd would do with containers when it stops. Here they always live on when the frontend
	// stops alone; the value is shown by info.
	LiveRestore bool
	Features    map[string]bool

	// Bridge is the default network.
	Bridge Bridge
	// AddressPools are where the subnets of networks come from; none: dockerd's.
	AddressPools AddressPools
	// NetworkOptions are those of new networks, by driver.
	NetworkOptions NetworkOptions

	// choices holds directives that have one value here.
	choices choices
}

// Ulimits are limits by name.
type Ulimits map[string]*units.Ulimit

// List returns the limits, sorted by name.
func (u Ulimits) List() []*units.Ulimit {
	list := make([]*units.Ulimit, 0, len(u))
	for _, name := range slices.Sorted(maps.Keys(u)) {
		list = append(list, u[name])
	}
	return list
}

// Default is the configuration without a file and without flags.
func Default() *Config {
	return &Config{
		LogLevel:               "info",
		MaxConcurrentDownloads: defaultDownloads,
		MaxConcurrentUploads:   defaultUploads,
		MaxDownloadAttempts:    defaultAttempts,
		LogDriver:              "json-file",
		LogOpts:                map[string]string{},
		ShmSize:                defaultShmSize,
		Ulimits:                Ulimits{},
		IpcMode:                "private",
		ShutdownTimeout:        defaultShutdownTimeout,
		Features:               map[string]bool{},
		Bridge:                 Bridge{ICC: true},
		NetworkOptions:         NetworkOptions{},
	}
}

// clone copies what flags and file write to.
func (c *Config) clone() *Config {
	out := *c
	out.LogOpts, out.Features, out.Ulimits = maps.Clone(c.LogOpts), maps.Clone(c.Features), maps.Clone(c.Ulimits)
	out.AddressPools, out.NetworkOptions = slices.Clone(c.AddressPools), c.NetworkOptions.clone()
	for _, list := range []*[]string{&out.Hosts, &out.Mirrors, &out.InsecureRegistries, &out.Labels, &out.DNS,
		&out.DNSOptions, &out.DNSSearch, &out.choices.ExecOpts} {
		*list = slices.Clone(*list)
	}
	return &out
}
