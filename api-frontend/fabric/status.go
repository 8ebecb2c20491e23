package fabric

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/arca-engine/arca/internal/atomicfile"
	networkv1 "github.com/arca-engine/arca/proto/network/v1"
)

// States of the helper.
const (
	stateIdle     = "not needed yet"
	stateStarting = "starting"
	stateUp       = "up"
	stateFailed   = "failed, started again"
)

// Status is what `arca status` tells of the helper.
type Status struct {
	Sandbox string    `json:"sandbox"` // ID of its sandbox.
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Starts  int       `json:"starts"`            // of the helper by this frontend.
	Problem string    `json:"problem,omitempty"` // one sentence.
}

func (s Status) same(o Status) bool { return s.State == o.State && s.Problem == o.Problem }

// tell writes the state where `arca status` looks. It is for people: that it cannot be written hurts nobody else.
func (h *helper) tell(s Status) {
	h.mu.Lock()
	old := h.status
	s.Starts = old.Starts
	if s.State == stateStarting {
		s.Starts++
	} else if s.same(old) {
		h.mu.Unlock()
		return
	}
	s.Since, s.Sandbox = time.Now(), h.id
	h.status = s
	h.mu.Unlock()
	if h.path == "" {
		return
	}
	raw, err := json.Marshal(s)
	if err == nil {
		err = atomicfile.Write(h.path, raw, 0o644)
	}
	if err != nil {
		h.log.Warn("tell the state of the helper", "error", err)
	}
}

// tellHealth tells of parts that are out of order for some time.
func (h *helper) tellHealth(r *networkv1.HealthResponse, unwell time.Duration) {
	s := Status{State: stateUp}
	if unwell < briefly {
		h.tell(s)
		return
	}
	if r == nil {
		s.Problem = "it does not answer"
	}
	parts := r.GetParts()
	if i := slices.IndexFunc(parts, func(p *networkv1.HealthResponse_Part) bool { return !p.Ready }); i >= 0 {
		s.Problem = parts[i].Name + ": " + parts[i].Problem
	}
	h.tell(s)
}
