// Package phase measures the phases that a piece of work goes through, for one line of a log.
//
// Invariant: a Trace is one goroutine's.
package phase
