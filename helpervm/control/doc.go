// Package control is the gRPC face of the helper: it checks what the frontend says shall be, remembers it, and has OVN, the
// kernel and the forwarder of names make it so.
//
// Invariants: calls take effect one after another, in the order in which they came; a call that could not be carried out
// whole is remembered all the same, and a daemon that comes back is told all of it. Nothing outlives the process: a new
// one is not synced until Resync.
package control
