package daemon

import (
	"net/netip"
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
)

// environment is what daemon.json and the machine say of new containers.
func environment(cfg *config.Config) normal.Environment {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	return normal.Environment{
		Kernel: kernel(), Hostname: hostname,
		Defaults: normal.Defaults{
			LogConfig: container.LogConfig{Type: cfg.LogDriver, Config: cfg.LogOpts}, ShmSize: int64(cfg.ShmSize),
			IpcMode: container.IpcMode(cfg.IpcMode), CgroupnsMode: container.CgroupnsMode(cfg.CgroupnsMode),
			Init: cfg.Init, Ulimits: ulimits(cfg),
		},
	}
}

// world is what OCI specs depend on beside records.
func world(cfg *config.Config) oci.World {
	w := oci.World{Ulimits: ulimits(cfg), Init: cfg.Init, Devices: devices(), AppArmor: hasAppArmor(), MaskedPaths: maskedPaths(), DNSSearch: cfg.DNSSearch, DNSOptions: cfg.DNSOptions}
	for _, s := range cfg.DNS {
		if a, err := netip.ParseAddr(s); err == nil { // The configuration was validated.
			w.DNS = append(w.DNS, a)
		}
	}
	return w
}

// listening are the TCP addresses of the API: no container may reach them by the host's address.
func listening(cfg *config.Config) (all []string) {
	for _, h := range cfg.Hosts {
		if scheme, address, _ := strings.Cut(h, "://"); scheme == "tcp" {
			all = append(all, address)
		}
	}
	return all
}

func ulimits(cfg *config.Config) map[string]*container.Ulimit {
	m := make(map[string]*container.Ulimit, len(cfg.Ulimits))
	for name, u := range cfg.Ulimits {
		m[name] = u
	}
	return m
}
