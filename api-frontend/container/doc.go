// Package container is the life of containers: create, start, stop, wait, restart, remove, and what follows an exit.
//
// Each container is a live [Container] around a durable record. Changes of a record are committed to the store first and
// seen by readers after; events are published after the commit. Operations of clients on one container take turns;
// what the guest reports (exit, death of the sandbox) does not wait for that turn, it has a goroutine of its own per run.
//
// Invariants: a record is never changed in place; an exit is acknowledged to the agent only after its output was
// written and its code committed; every goroutine belongs to the engine and is waited for by Run.
package container
