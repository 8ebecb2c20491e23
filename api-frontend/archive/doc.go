// Package archive moves files in and out of containers: docker cp. Paths are resolved by the agent, inside the
// container's root; this side passes bytes on.
//
// Invariants: nothing is unpacked and no path is opened here; what a client compressed is decompressed in this process,
// with bounded memory, never by a program; a stream that ends before its end fails and is never taken for whole.
package archive
