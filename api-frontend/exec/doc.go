// Package exec runs processes beside the first one in running containers: docker exec, and the probes of health checks.
//
// Exec records live in memory, as in Docker: they go with their container, and some minutes after their end.
//
// Invariants: an exec runs at most once; its exit is acknowledged to the agent only after its output was taken; a client
// that leaves or detaches ends its attachment and nothing else, the output is taken and dropped from then on; the end of
// a client's connection comes after the exit code can be inspected; every goroutine belongs to the service and is waited
// for by Close.
package exec
