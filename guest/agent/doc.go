// Package agent is the gRPC face of the guest: it serves proto/guest/v1 and the raw streams of internal/guestwire, and
// keeps the table of containers and processes.
//
// Invariants: the exit of a process is kept until it is acknowledged; calls about one container take turns where they
// change it; an error is classified where it arises and translated to a gRPC code in one place.
package agent
