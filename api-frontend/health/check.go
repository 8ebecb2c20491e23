package health

import (
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Docker's defaults for what a health check does not say.
const (
	defaultInterval      = 30 * time.Second
	defaultTimeout       = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultRetries       = 3
)

const (
	// maxOutput bounds the output of a probe that is kept.
	maxOutput = 4096
	// maxLog is how many results are kept.
	maxLog = 5
	// launchLimit bounds the start of a probe, which does not count towards its timeout.
	launchLimit = 30 * time.Second
)

// check is a health check with every default filled in.
type check struct {
	cmd           []string
	interval      time.Duration
	timeout       time.Duration
	startPeriod   time.Duration
	startInterval time.Duration
	retries       int
	startedAt     time.Time
}

// checkOf reads the health check of a container; false when it has none.
func checkOf(r *record.Container) (check, bool) {
	if r == nil || r.Config == nil || r.Config.Healthcheck == nil {
		return check{}, false
	}
	h := r.Config.Healthcheck
	cmd, ok := command(h.Test, r.Config.Shell)
	if !ok {
		return check{}, false
	}
	c := check{
		cmd:           cmd,
		interval:      or(h.Interval, defaultInterval),
		timeout:       or(h.Timeout, defaultTimeout),
		startPeriod:   h.StartPeriod,
		startInterval: or(h.StartInterval, defaultStartInterval),
		retries:       h.Retries,
		startedAt:     r.State.StartedAt,
	}
	if c.retries <= 0 {
		c.retries = defaultRetries
	}
	return c, true
}

// command is what a probe executes. NONE, nothing and unknown kinds are no check.
func command(test, shell []string) ([]string, bool) {
	if len(test) < 2 {
		return nil, false
	}
	switch test[0] {
	case "CMD":
		return test[1:], true
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		return append(append([]string(nil), shell...), test[1:]...), true
	default:
		return nil, false
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// wait is the time until the next probe.
func (c *check) wait(now time.Time, status container.HealthStatus) time.Duration {
	if now.Sub(c.startedAt) < c.startPeriod && status == container.Starting {
		return c.startInterval
	}
	return c.interval
}

// judge adds a probe's result to what is known. It returns a new value and leaves the old one alone.
func (c *check) judge(old *container.Health, result container.HealthcheckResult) *container.Health {
	h := &container.Health{Status: old.Status, FailingStreak: old.FailingStreak}
	from := max(0, len(old.Log)+1-maxLog)
	h.Log = append(append(make([]*container.HealthcheckResult, 0, maxLog), old.Log[from:]...), &result)
	switch {
	case result.ExitCode == 0:
		h.FailingStreak, h.Status = 0, container.Healthy
	case h.Status == container.Starting && result.Start.Sub(c.startedAt) < c.startPeriod:
		// Within the start period a failure does not count.
	default:
		h.FailingStreak++
		if h.FailingStreak >= c.retries {
			h.Status = container.Unhealthy
		}
	}
	return h
}
