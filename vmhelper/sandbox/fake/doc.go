// Package fake is a driver without sandboxes: everything is in memory, and the agent is a gRPC server of this process
// behind unix sockets. Faults can be injected at every step: an error, a delay, a hang, the death of the sandbox.
//
// It passes the conformance suite, so what is tested against it holds for the others as far as the contract goes.
package fake
