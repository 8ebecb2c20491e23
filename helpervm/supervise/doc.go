// Package supervise keeps child processes running: each is started at once, restarted at once when it dies, and later only
// after a pause that grows while it keeps dying.
//
// Invariants: a child never outlives this process (the kernel kills it with its parent); every child is waited for; Run
// returns only when all children have ended.
package supervise
