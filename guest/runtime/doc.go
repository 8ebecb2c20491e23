// Package runtime starts, execs, signals, pauses, updates and deletes containers with runc.
//
// Invariants: runc is never given a shell text or a path that a container chose; its sentence comes back unchanged but
// for the name of its command (we run what Docker creates and starts); the exits of processes come from the reaper.
package runtime
