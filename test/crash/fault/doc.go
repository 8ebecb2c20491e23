// Package fault makes a running instance fail at every failpoint that its sources name, in every way, and checks what
// must stay true: the step that met the fault fails in words or succeeds, doing it again succeeds, every daemon is alive
// again, and nothing is orphaned or lost.
//
// Invariant: a failpoint that no step of the session reaches fails the test, so a new point needs its step.
package fault
