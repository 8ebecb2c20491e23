// Package keylock is a set of mutexes by name, each taken with a context.
//
// Invariants: a name without holder or waiter uses no memory; waiters get their turn one at a time.
package keylock
