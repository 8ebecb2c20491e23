package fake

import (
	"context"
	"time"
)

// The steps at which a fault can be injected.
const (
	StepCreate = "create"
	StepBoot   = "boot" // between the start and the agent's answer.
	StepDial   = "dial"
	StepAdd    = "add"
	StepRemove = "remove"
	StepLink   = "link"
	StepStop   = "stop"
	StepStore  = "store"
)

// Fault is what happens at a step. Its parts happen in this order.
type Fault struct {
	Delay time.Duration
	Hang  bool  // until the caller's context ends.
	Death bool  // of the sandbox, where there is one.
	Err   error // what the step returns.
	Count int   // how often; 0: always.
}

// Inject makes a step fail. A zero Fault heals it.
func (d *Driver) Inject(step string, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f == (Fault{}) {
		delete(d.faults, step)
		return
	}
	d.faults[step] = &f
}

// hit does what is injected at a step.
func (d *Driver) hit(ctx context.Context, step string, sb *box) error {
	d.mu.Lock()
	p := d.faults[step]
	if p == nil {
		d.mu.Unlock()
		return nil
	}
	f := *p
	if p.Count > 0 {
		if p.Count--; p.Count == 0 {
			delete(d.faults, step)
		}
	}
	d.mu.Unlock()
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if f.Hang {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if f.Death && sb != nil {
		sb.end("it died at " + step)
	}
	return f.Err
}
