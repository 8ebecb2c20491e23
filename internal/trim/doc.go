// Package trim gives memory back to the system when a process has become quiet.
//
// Nothing polls: a garbage collection wakes it, and a process that allocates nothing collects nothing.
package trim
