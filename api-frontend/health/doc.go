// Package health runs the health checks of containers and keeps their verdict: starting, healthy or unhealthy.
//
// Invariants: a container has at most one monitor, and a monitor at most one probe; Stop returns when the container's
// monitor and its probe have ended; a probe that exceeds its time is killed before the next one begins; only what
// changed is told: a probe's result to the engine, a change of the verdict to the world as well.
package health
