// Package bindsocket is the host's side of a unix socket that is bound into a container: each connection that a process
// of the container makes is joined to one of the host's socket, with half-close kept in both directions.
//
// Invariants: the host's path is the one of the container's own mount, never one that the guest named; connections are
// bounded per container; nothing of a join runs any more when it returns, and the end of its context ends it.
package bindsocket
