package control

import (
	"context"

	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// Part is one part of the helper.
type Part struct {
	Name     string
	Problem  string // empty: it is ready.
	Restarts uint64
}

// Health tells of all parts.
type Health interface {
	Parts(ctx context.Context) []Part
}

// Health implements the service. It waits for no change that is under way.
func (c *Control) Health(ctx context.Context, _ *networkv1.HealthRequest) (*networkv1.HealthResponse, error) {
	r := &networkv1.HealthResponse{Ready: true}
	for _, p := range c.health.Parts(ctx) {
		r.Parts = append(r.Parts, &networkv1.HealthResponse_Part{Name: p.Name, Ready: p.Problem == "", Problem: p.Problem, Restarts: p.Restarts})
		r.Ready = r.Ready && p.Problem == ""
	}
	r.Synced = c.synced.Load()
	return r, nil
}
