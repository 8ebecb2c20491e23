// Package ps lists processes as ps(1) of Linux does, from /proc, without running a program.
//
// Invariant: an option that is not understood is an error that names it, never ignored.
package ps
