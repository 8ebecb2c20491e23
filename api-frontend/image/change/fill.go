package change

import (
	"slices"
	"strings"
)

// Fill takes from below what c is silent of, as a container's configuration takes from its image's.
func Fill(c, below *Config) {
	if c.User == "" {
		c.User = below.User
	}
	c.ExposedPorts = union(c.ExposedPorts, below.ExposedPorts)
	c.Volumes = union(c.Volumes, below.Volumes)
	c.Labels = union(c.Labels, below.Labels)
	for _, e := range below.Env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(c.Env, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			c.Env = append(c.Env, e)
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = below.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = below.Entrypoint
		}
	}
	if c.Healthcheck == nil {
		c.Healthcheck = below.Healthcheck
	}
	if c.WorkingDir == "" {
		c.WorkingDir = below.WorkingDir
	}
	if c.StopSignal == "" {
		c.StopSignal = below.StopSignal
	}
	if len(c.Shell) == 0 {
		c.Shell = below.Shell
	}
}

func union[V any](own, below map[string]V) map[string]V {
	if own == nil && len(below) > 0 {
		own = map[string]V{}
	}
	for k, v := range below {
		if _, ok := own[k]; !ok {
			own[k] = v
		}
	}
	return own
}
