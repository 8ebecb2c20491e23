// Package container is the life of containers: create, start, stop, wait, restart, remove, and what follows an exit.
//
// Each container is a live [Container] around a durable record. Changes of a record are committed to the store first and
// seen by readers after; events are published after the commit. Operations of clients on one container take turns;
// what the guest reports (exit, death of the sandbox) does not wait for that turn, it has a goroutine of its own per run.
//
// A run ends in this order: exit or death reported, output written, exit committed (tried until the store takes it), waits
// answered, sandbox released, room made for the next run. A start that fails, at whatever step, undoes all of it.
//
// Locks, in the order in which they may be taken: a container's turn; Container.writing (held across the commit);
// Container.mu and Engine.mu, never together, and across no I/O but the opening of a log. Kill and the first half of a forced
// removal need no turn, because a stop that waits for its timeout has it.
//
// Invariants: a record is never changed in place, nor after it was erased; an exit is acknowledged to the agent, or its
// sandbox stopped, only after its output was written and its code committed; every goroutine belongs to the engine and is
// waited for by Run; whatever outlives its client ends with the engine.
package container
