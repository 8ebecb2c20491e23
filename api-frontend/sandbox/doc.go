// Package sandbox is the frontend's side of sandboxes: which run, who holds them, and how to reach their agents.
//
// A [Manager] follows vmhelper's watch and reconnects for ever, so that the death of vmhelper, or of its worker, is an
// interruption and nothing else. A [Box] is a running sandbox with a connection to its agent. Boxes are held: each
// container that runs in one is a holder, and so is a maintenance operation (docker cp on a stopped container); when the last holder
// lets go the sandbox is stopped, after a short idle time where the holder was maintenance.
//
// Invariants: one box per ID, and one turn per ID for boot, hold, release and stop, which is held across vmhelper's calls; no
// mutex is. An agent never restarts, so a box whose agent is gone is dead and its holders are told exactly once. A
// sandbox that runs without a box is of an unknown state: it is adopted at the start or stopped, never taken. A stop that
// failed is tried again until it succeeds.
package sandbox
