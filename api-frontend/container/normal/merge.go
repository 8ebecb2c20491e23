package normal

import (
	"maps"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// merge fills in from the image what the client left out, as moby's merge does.
func merge(c *container.Config, img *dockerspec.DockerOCIImageConfig) {
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	if img == nil {
		return
	}
	if c.User == "" {
		c.User = img.User
	}
	for s := range img.ExposedPorts {
		port, err := network.ParsePort(s)
		if err != nil {
			continue // an image's odd port is a wish that cannot be kept; dockerd shows it and does nothing.
		}
		if c.ExposedPorts == nil {
			c.ExposedPorts = network.PortSet{}
		}
		c.ExposedPorts[port] = struct{}{}
	}
	c.Env = mergeEnv(c.Env, img.Env)
	for k, v := range img.Labels {
		if _, ok := c.Labels[k]; !ok {
			c.Labels[k] = v
		}
	}
	if len(c.Entrypoint) == 0 {
		if len(c.Cmd) == 0 {
			c.Cmd = img.Cmd
		}
		if c.Entrypoint == nil {
			c.Entrypoint = img.Entrypoint
		}
	}
	c.Healthcheck = mergeHealth(c.Healthcheck, img.Healthcheck)
	if c.WorkingDir == "" {
		c.WorkingDir = img.WorkingDir
	}
	maps.Copy(c.Volumes, img.Volumes)
	if c.StopSignal == "" {
		c.StopSignal = img.StopSignal
	}
	if len(c.Shell) == 0 {
		c.Shell = img.Shell
	}
	if len(c.OnBuild) == 0 {
		c.OnBuild = img.OnBuild
	}
}

func mergeEnv(own, image []string) []string {
	have := make(map[string]bool, len(own))
	for _, e := range own {
		k, _, _ := strings.Cut(e, "=")
		have[k] = true
	}
	for _, e := range image {
		if k, _, _ := strings.Cut(e, "="); !have[k] {
			own = append(own, e)
		}
	}
	return own
}

func mergeHealth(own, image *container.HealthConfig) *container.HealthConfig {
	if image == nil {
		return own
	}
	if own == nil {
		return image
	}
	m := *own
	if len(m.Test) == 0 {
		m.Test = image.Test
	}
	for _, d := range []struct{ to, from *time.Duration }{
		{&m.Interval, &image.Interval}, {&m.Timeout, &image.Timeout},
		{&m.StartPeriod, &image.StartPeriod}, {&m.StartInterval, &image.StartInterval},
	} {
		if *d.to == 0 {
			*d.to = *d.from
		}
	}
	if m.Retries == 0 {
		m.Retries = image.Retries
	}
	return &m
}
