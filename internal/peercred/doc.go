// Package peercred authenticates the process at the other end of a unix socket by the kernel's word (SO_PEERCRED, on
// macOS LOCAL_PEERCRED), as gRPC transport credentials and as a wrapper of a plain listener.
//
// Invariant: nothing is read from a peer before it was allowed. What the kernel tells is the uid that connected; a
// pid may have been reused and is for logs alone.
package peercred
