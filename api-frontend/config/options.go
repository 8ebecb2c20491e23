package config

// option is one directive: how it is called in the file and as a flag, and what it sets.
type option struct {
	key   string
	flag  string // Empty: as the key.
	short string
	usage string
	// target gives the field; nil means that there is no flag and that the file's key is refused.
	target func(*Config) any
	// refusal says why a directive of dockerd's is not one here.
	refusal string
	// fileOnly directives have no flag.
	fileOnly bool
}

// choices are directives of which one value is what the engine does anyway; validate refuses others.
type choices struct {
	ExecOpts       []string
	DefaultRuntime string
	StorageDriver  string
	SeccompProfile string
	Experimental   bool
}

const (
	notRouted   = "the host has no route to containers: ports are published by the engine itself"
	notGateway  = "the default gateway of the default network is the network's own: bip gives its address"
	notSwarm    = "swarm mode is not supported"
	notRuntimes = "the runtime is the one that the engine ships"
	notHost     = "the engine writes no host network rules"
)

// options is every directive, sorted by key.
var options = []option{
	{key: "allow-direct-routing", refusal: notRouted},
	{key: "allow-nondistributable-artifacts", refusal: "non-distributable layers are pulled and saved like others"},
	{key: "api-cors-header", refusal: "requests from a web browser are always refused"},
	{key: "authorization-plugins", flag: "authorization-plugin", refusal: "plugins are not supported"},
	{key: "bip", usage: "IPv4 address for the default bridge", target: func(c *Config) any { return &c.Bridge.Address }},
	{key: "bip6", usage: "IPv6 address for the default bridge", target: func(c *Config) any { return &c.Bridge.Address6 }},
	{key: "bridge", short: "b", refusal: "the default network is no bridge of the host"},
	{key: "builder", refusal: "there is no builder to configure"},
	{key: "cdi-spec-dirs", flag: "cdi-spec-dir", refusal: "CDI devices are not supported"},
	{key: "cgroup-parent", refusal: "each sandbox has a cgroup of its own below the engine's"},
	{key: "containerd", refusal: "the engine uses no containerd"},
	{key: "containerd-namespace", refusal: "the engine uses no containerd"},
	{key: "containerd-plugin-namespace", flag: "containerd-plugins-namespace", refusal: "the engine uses no containerd"},
	{key: "cpu-rt-period", refusal: "real-time scheduling groups are not supported"},
	{key: "cpu-rt-runtime", refusal: "real-time scheduling groups are not supported"},
	{key: "cri-containerd", refusal: "the engine uses no containerd"},
	{key: "data-root", refusal: "an instance's directory is given by --home"},
	{key: "debug", short: "D", usage: "Enable debug mode", target: func(c *Config) any { return &c.Debug }},
	{key: "default-address-pools", flag: "default-address-pool", usage: "Default address pools for node specific local networks", target: func(c *Config) any { return &c.AddressPools }},
	{key: "default-cgroupns-mode", usage: "Default mode for containers cgroup namespace (\"host\" | \"private\")", target: func(c *Config) any { return &c.CgroupnsMode }},
	{key: "default-gateway", refusal: notGateway},
	{key: "default-gateway-v6", refusal: notGateway},
	{key: "default-ipc-mode", usage: "Default mode for containers ipc (\"shareable\" | \"private\")", target: func(c *Config) any { return &c.IpcMode }},
	{key: "default-network-opts", flag: "default-network-opt", usage: "Default network options", target: func(c *Config) any { return &c.NetworkOptions }},
	{key: "default-runtime", usage: "Default OCI runtime for containers", target: func(c *Config) any { return &c.choices.DefaultRuntime }},
	{key: "default-shm-size", usage: "Default shm size for containers", target: func(c *Config) any { return &c.ShmSize }},
	{key: "default-ulimits", flag: "default-ulimit", usage: "Default ulimits for containers", target: func(c *Config) any { return &c.Ulimits }},
	{key: "deprecated-key-path", refusal: "it has no meaning any more"},
	{key: "dns", usage: "DNS server to use", target: func(c *Config) any { return &c.DNS }},
	{key: "dns-opts", flag: "dns-opt", usage: "DNS options to use", target: func(c *Config) any { return &c.DNSOptions }},
	{key: "dns-search", usage: "DNS search domains to use", target: func(c *Config) any { return &c.DNSSearch }},
	{key: "exec-opts", flag: "exec-opt", usage: "Runtime execution options", target: func(c *Config) any { return &c.choices.ExecOpts }},
	{key: "exec-root", refusal: "an instance's directory is given by --home"},
	{key: "experimental", usage: "Enable experimental features", target: func(c *Config) any { return &c.choices.Experimental }},
	{key: "features", usage: "Enable feature in the daemon", flag: "feature", target: func(c *Config) any { return &c.Features }},
	{key: "firewall-backend", refusal: notHost},
	{key: "fixed-cidr", usage: "IPv4 subnet for the default bridge network", target: func(c *Config) any { return &c.Bridge.Range }},
	{key: "fixed-cidr-v6", usage: "IPv6 subnet for the default bridge network", target: func(c *Config) any { return &c.Bridge.Range6 }},
	{key: "group", short: "G", usage: "Group for the unix socket", target: func(c *Config) any { return &c.Group }},
	{key: "host-gateway-ips", flag: "host-gateway-ip", refusal: "host-gateway is the host, as the engine's uplink reaches it"},
	{key: "hosts", flag: "host", short: "H", usage: "Daemon socket(s) to connect to", target: func(c *Config) any { return &c.Hosts }},
	{key: "http-proxy", usage: "HTTP proxy URL to use for outgoing traffic", target: func(c *Config) any { return &c.HTTPProxy }},
	{key: "https-proxy", usage: "HTTPS proxy URL to use for outgoing traffic", target: func(c *Config) any { return &c.HTTPSProxy }},
	{key: "icc", usage: "Enable inter-container communication for the default bridge network", target: func(c *Config) any { return &c.Bridge.ICC }},
	{key: "init", usage: "Run an init in the container to forward signals and reap processes", target: func(c *Config) any { return &c.Init }},
	{key: "init-path", refusal: "the init is the one that the engine ships"},
	{key: "insecure-registries", flag: "insecure-registry", usage: "Enable insecure registry communication", target: func(c *Config) any { return &c.InsecureRegistries }},
	{key: "ip", usage: "Host IP for port publishing from the default bridge network", target: func(c *Config) any { return &c.Bridge.Binding }},
	{key: "ip-forward", refusal: notHost},
	{key: "ip-forward-no-drop", refusal: notHost},
	{key: "ip-masq", refusal: notHost},
	{key: "ip6tables", refusal: notHost},
	{key: "iptables", refusal: notHost},
	{key: "ipv6", usage: "Enable IPv6 networking for the default bridge network", target: func(c *Config) any { return &c.Bridge.IPv6 }},
	{key: "labels", flag: "label", usage: "Set key=value labels to the daemon", target: func(c *Config) any { return &c.Labels }},
	{key: "live-restore", usage: "Enable live restore of docker when containers are still running", target: func(c *Config) any { return &c.LiveRestore }},
	{key: "log-driver", usage: "Default driver for container logs", target: func(c *Config) any { return &c.LogDriver }},
	{key: "log-format", refusal: "the engine's own log has one format"},
	{key: "log-level", short: "l", usage: "Set the logging level (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\")", target: func(c *Config) any { return &c.LogLevel }},
	{key: "log-opts", flag: "log-opt", usage: "Default log driver options for containers", target: func(c *Config) any { return &c.LogOpts }},
	{key: "max-concurrent-downloads", usage: "Set the max concurrent downloads", target: func(c *Config) any { return &c.MaxConcurrentDownloads }},
	{key: "max-concurrent-uploads", usage: "Set the max concurrent uploads", target: func(c *Config) any { return &c.MaxConcurrentUploads }},
	{key: "max-download-attempts", usage: "Set the max download attempts for each pull", target: func(c *Config) any { return &c.MaxDownloadAttempts }},
	{key: "metrics-addr", refusal: "the engine serves no metrics there"},
	{key: "mtu", usage: "Set the MTU for the default \"bridge\" network", target: func(c *Config) any { return &c.Bridge.MTU }},
	{key: "network-control-plane-mtu", refusal: notSwarm},
	{key: "network-diagnostic-port", refusal: notSwarm},
	{key: "no-new-privileges", refusal: "ask for it with each container's security options"},
	{key: "no-proxy", usage: "Comma-separated list of hosts or IP addresses for which the proxy is skipped", target: func(c *Config) any { return &c.NoProxy }},
	{key: "node-generic-resources", flag: "node-generic-resource", refusal: notSwarm},
	{key: "oom-score-adjust", refusal: "the engine's own score is left to the system"},
	{key: "pidfile", short: "p", refusal: "the engine's supervisor knows its processes without one"},
	{key: "proxies", fileOnly: true, target: func(*Config) any { return nil }},
	{key: "raw-logs", refusal: "the engine's own log has one format"},
	{key: "registry-mirrors", flag: "registry-mirror", usage: "Preferred Docker registry mirror", target: func(c *Config) any { return &c.Mirrors }},
	{key: "rootless", refusal: "an instance of an ordinary user needs no mode of its own"},
	{key: "runtimes", flag: "add-runtime", refusal: notRuntimes},
	{key: "seccomp-profile", usage: "Path to seccomp profile", target: func(c *Config) any { return &c.choices.SeccompProfile }},
	{key: "selinux-enabled", refusal: "SELinux labels are not supported"},
	{key: "shutdown-timeout", usage: "Set the default shutdown timeout", target: func(c *Config) any { return &c.ShutdownTimeout }},
	{key: "storage-driver", short: "s", usage: "Storage driver to use", target: func(c *Config) any { return &c.choices.StorageDriver }},
	{key: "storage-opts", flag: "storage-opt", refusal: "the storage driver has no options"},
	{key: "swarm-default-advertise-addr", refusal: notSwarm},
	{key: "swarm-raft-election-tick", refusal: notSwarm},
	{key: "swarm-raft-heartbeat-tick", refusal: notSwarm},
	{key: "tls", usage: "Use TLS; implied by --tlsverify", target: func(c *Config) any { return &c.TLS }},
	{key: "tlscacert", usage: "Trust certs signed only by this CA", target: func(c *Config) any { return &c.TLSCACert }},
	{key: "tlscert", usage: "Path to TLS certificate file", target: func(c *Config) any { return &c.TLSCert }},
	{key: "tlskey", usage: "Path to TLS key file", target: func(c *Config) any { return &c.TLSKey }},
	{key: "tlsverify", usage: "Use TLS and verify the remote", target: func(c *Config) any { return &c.TLSVerify }},
	{key: "userland-proxy", refusal: notRouted},
	{key: "userland-proxy-path", refusal: notRouted},
	{key: "userns-remap", refusal: "user namespaces are not supported"},
	{key: "validate", refusal: "the configuration is always checked before anything starts"},
}

// flagName is the name on the command line.
func (o option) flagName() string {
	if o.flag != "" {
		return o.flag
	}
	return o.key
}
