package record

import (
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// Status is what a container is doing, in Docker's words.
type Status = container.ContainerState

// The states. A start that fails before the first process was executed leaves the state as it was (created or
// exited) and sets the exit code and the error, as dockerd does.
//
//	            start                    pause
//	created ───────────► running ◄──────────────► paused
//	   │                  │ ▲  │ ▲      unpause      │
//	   │       exit,      │ │  │ │ back-off over     │
//	   │   policy says no │ │  │ └───────────┐       │
//	   │                  │ │  │ exit,       │       │
//	   │                  │ │  │ policy says yes     │
//	   │                  │ │  └──────► restarting ◄─┤
//	   │                  ▼ │ start        │         │
//	   │                 exited ◄──────────┴─────────┘
//	   │                   │     stop, kill, start failed
//	   └───────► removing ◄┘
//	  remove      │ ▲   └──► gone
//	it failed     ▼ │ remove
//	             dead
const (
	Created    = container.StateCreated
	Running    = container.StateRunning
	Paused     = container.StatePaused
	Restarting = container.StateRestarting
	Removing   = container.StateRemoving
	Exited     = container.StateExited
	Dead       = container.StateDead
)

var transitions = map[Status][]Status{
	Created:    {Running, Removing},
	Running:    {Paused, Restarting, Exited},
	Paused:     {Running, Restarting, Exited},
	Restarting: {Running, Exited},
	Exited:     {Running, Removing},
	Removing:   {Dead},
	Dead:       {Removing},
}

// Can tells whether the machine has a step from one status to another.
func Can(from, to Status) bool { return slices.Contains(transitions[from], to) }

// State is the changing part of a record.
type State struct {
	Status     Status    `json:"status"`
	Pid        int       `json:"pid,omitempty"` // of the first process, as the host sees it where it can.
	ExitCode   int       `json:"exitCode,omitempty"`
	Error      string    `json:"error,omitempty"` // of the last start.
	OOMKilled  bool      `json:"oomKilled,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`

	// Run counts the starts: 0 before the first. Exits and output belong to a run.
	Run uint64 `json:"run,omitempty"`
	// BootID is the boot of the sandbox in which the run takes place.
	BootID string `json:"bootID,omitempty"`
	// RestartCount counts the restarts by the policy since the last start by a client.
	RestartCount int `json:"restartCount,omitempty"`
	// HasBeenManuallyStopped keeps unless-stopped from acting after a restart of the engine.
	HasBeenManuallyStopped bool `json:"hasBeenManuallyStopped,omitempty"`
	// HasBeenStartedBefore keeps the first start apart: anonymous volumes are filled then.
	HasBeenStartedBefore bool `json:"hasBeenStartedBefore,omitempty"`

	Health *container.Health `json:"health,omitempty"` // replaced whole, never changed in place.
}

// IsRunning tells whether the first process lives, paused or not.
func (s *State) IsRunning() bool { return s.Status == Running || s.Status == Paused }

// IsActive tells whether dockerd's State.Running would be true: a container that waits for its restart counts.
func (s *State) IsActive() bool { return s.IsRunning() || s.Status == Restarting }

// Started begins a run. The container's BootID is set by the caller.
func (s *State) Started(pid int, at time.Time) error {
	if s.Status == Paused {
		return s.impossible(Running)
	}
	if err := s.to(Running); err != nil {
		return err
	}
	s.Pid, s.StartedAt, s.Run = pid, at, s.Run+1
	s.ExitCode, s.Error, s.OOMKilled = 0, "", false
	s.HasBeenStartedBefore = true
	return nil
}

// StartFailed notes a start that failed; the status stays, except that a restart that failed is an exit.
func (s *State) StartFailed(code int, reason string, at time.Time) error {
	switch s.Status {
	case Created, Exited:
	case Restarting:
		s.Status, s.FinishedAt = Exited, at
	default:
		return fmt.Errorf("note a failed start of a container that is %s: %w", s.Status, errdefs.ErrFailedPrecondition)
	}
	s.Pid, s.ExitCode, s.Error = 0, code, reason
	return nil
}

// Exit ends a run for good.
func (s *State) Exit(code int, oom bool, at time.Time) error {
	if s.Status == Restarting { // stopped while it waited: the exit is known already.
		return s.to(Exited)
	}
	if err := s.to(Exited); err != nil {
		return err
	}
	s.ended(code, oom, at)
	return nil
}

// ExitAndRestart ends a run after which the restart policy acts.
func (s *State) ExitAndRestart(code int, oom bool, at time.Time) error {
	if err := s.to(Restarting); err != nil {
		return err
	}
	s.ended(code, oom, at)
	s.RestartCount++
	return nil
}

// Pause and the methods below step the machine; the error says which step there is not.
func (s *State) Pause() error { return s.to(Paused) }

// Unpause ends a pause.
func (s *State) Unpause() error {
	if s.Status != Paused {
		return s.impossible(Running)
	}
	return s.to(Running)
}

// Remove begins the removal.
func (s *State) Remove() error { return s.to(Removing) }

// RemoveFailed notes that the removal failed.
func (s *State) RemoveFailed(reason string) error {
	if err := s.to(Dead); err != nil {
		return err
	}
	s.Error = reason
	return nil
}

func (s *State) ended(code int, oom bool, at time.Time) {
	s.Pid, s.ExitCode, s.OOMKilled, s.FinishedAt, s.BootID = 0, code, oom, at, ""
}

func (s *State) to(next Status) error {
	if !Can(s.Status, next) {
		return s.impossible(next)
	}
	s.Status = next
	return nil
}

func (s *State) impossible(next Status) error {
	return fmt.Errorf("a container that is %s cannot become %s: %w", s.Status, next, errdefs.ErrFailedPrecondition)
}

func (s *State) clone() State {
	n := *s
	return n
}
