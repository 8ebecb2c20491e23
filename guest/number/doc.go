// Package number translates the numbers of processes in the sandbox to those that the sandbox's host has for them.
//
// The kernel does it: what fdinfo says of a process descriptor is written for the process namespace of the /proc in which
// it is read. So the agent keeps its own fdinfo directory of the host's /proc, which it opened before it had a root of its
// own, and nothing else of the host's.
package number
