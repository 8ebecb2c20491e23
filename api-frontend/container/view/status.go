package view

import (
	"fmt"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// Status is the text of a state as tables show it: "Up 5 minutes (healthy)".
func Status(s *record.State, now time.Time) string {
	since := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch s.Status {
	case record.Paused:
		return fmt.Sprintf("Up %s (Paused)", since(s.StartedAt))
	case record.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, since(s.FinishedAt))
	case record.Running:
		if h := health(s); h != container.NoHealthcheck {
			text := string(h)
			if h == container.Starting {
				text = "health: starting"
			}
			return fmt.Sprintf("Up %s (%s)", since(s.StartedAt), text)
		}
		return "Up " + since(s.StartedAt)
	case record.Removing:
		return "Removal In Progress"
	case record.Dead:
		return "Dead"
	case record.Exited:
		if s.FinishedAt.IsZero() {
			return ""
		}
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, since(s.FinishedAt))
	}
	return "Created"
}

// health is the state of health for filters; none without a check.
func health(s *record.State) container.HealthStatus {
	switch {
	case s.Health == nil:
		return container.NoHealthcheck
	case s.Health.Status == "":
		return container.Unhealthy
	}
	return s.Health.Status
}
