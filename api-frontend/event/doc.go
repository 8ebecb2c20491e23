// Package event carries the engine's events to whoever listens, with a short history.
//
// Invariants: publishing never waits for a subscriber; every subscriber sees the events that match in the order of
// publishing, each once, or its subscription ends with ErrOverflow; history and live events join without a gap.
package event
