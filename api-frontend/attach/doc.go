// Package attach is the plumbing between a client and the standard streams of a process: stdin with detach keys on the
// way in, stdcopy frames or raw terminal bytes on the way out, and the pump that takes a process's output from its agent.
//
// Invariants: no byte of stdin is lost or reordered, a partial sequence of detach keys included; a frame of output is
// written to the client in one Write and acknowledged to the agent only after that; buffers have a fixed size.
package attach
