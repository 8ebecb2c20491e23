package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// monitor probes one container until it is stopped.
type monitor struct {
	service *Service
	id      string
	check   check
	health  *container.Health
	cancel  context.CancelCauseFunc
	done    chan struct{}
}

func (m *monitor) run(ctx context.Context) {
	defer close(m.done)
	t := time.NewTimer(m.check.wait(time.Now(), m.health.Status))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		start := time.Now()
		result := m.probe(ctx)
		if ctx.Err() != nil {
			return // Stopped: what the probe said does not count.
		}
		result.Start, result.End = start, time.Now()
		m.take(result)
		t.Reset(m.check.wait(time.Now(), m.health.Status))
	}
}

// take notes a result and tells of a changed verdict.
func (m *monitor) take(result container.HealthcheckResult) {
	old := m.health
	m.health = m.check.judge(old, result)
	changed := old.Status != m.health.Status
	if err := m.service.containers.SetHealth(m.id, m.health, changed); err != nil {
		m.service.log.Warn("set health", "container", m.id, "error", err)
	}
	if changed {
		action := string(events.ActionHealthStatus) + ": " + string(m.health.Status)
		m.service.containers.Publish(m.id, events.Action(action), nil)
	}
}

var (
	errTimeout = errors.New("health check exceeded its timeout")
	errLaunch  = errors.New("health check did not start in time")
)

// probe runs the check's command once.
func (m *monitor) probe(ctx context.Context) container.HealthcheckResult {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Starting takes time that is the engine's, not the probe's: the timeout begins when the process runs.
	limit := time.AfterFunc(launchLimit, func() { cancel(errLaunch) })
	defer func() { limit.Stop() }()
	var timeout *time.Timer
	out := &output{}
	code, err := m.service.prober.Run(ctx, m.id, m.check.cmd, out, func() {
		limit.Stop()
		timeout = time.AfterFunc(m.check.timeout, func() { cancel(errTimeout) })
	})
	if timeout != nil {
		timeout.Stop()
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return container.HealthcheckResult{ExitCode: code, Output: out.String()}
	case errors.Is(cause, errTimeout):
		text := fmt.Sprintf("Health check exceeded timeout (%v)", m.check.timeout)
		if said := out.String(); said != "" {
			text += ": " + said
		}
		return container.HealthcheckResult{ExitCode: -1, Output: text}
	case errors.Is(cause, errLaunch):
		return container.HealthcheckResult{ExitCode: -1, Output: "timed out starting health check for container " + m.id}
	default:
		return container.HealthcheckResult{ExitCode: -1, Output: err.Error()}
	}
}
