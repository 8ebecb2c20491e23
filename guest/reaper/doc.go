// Package reaper collects the exits of every child of the agent, which is PID 1 (or a subreaper) of its sandbox.
//
// One goroutine calls wait4 for all children; everyone else learns of an exit from here. A child that is started by
// somebody else's fork (the first process of a container, which runc leaves to us) is claimed by number; an exit that
// comes before the claim is kept while a Hold is open.
//
// Invariants: nobody else in the process waits for children; an exit is delivered to one claimant; without a Hold the
// exits of strangers are forgotten.
package reaper
