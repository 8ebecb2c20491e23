package network

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// refusal is a sentence with its class; without one it is dockerd's 500.
type refusal struct {
	text  string
	class error
}

func (e refusal) Error() string { return e.text }
func (e refusal) Unwrap() error { return e.class }

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }

func notFound(ref string) error {
	return refusal{fmt.Sprintf("network %s not found", ref), errdefs.ErrNotFound}
}

func ambiguous(ref string, n int) error {
	return refusal{fmt.Sprintf("network %s is ambiguous (%d matches found based on ID prefix)", ref, n), errdefs.ErrInvalidArgument}
}

func invalid(format string, a ...any) error {
	return refusal{fmt.Sprintf(format, a...), errdefs.ErrInvalidArgument}
}

func forbidden(format string, a ...any) error {
	return refusal{fmt.Sprintf(format, a...), errdefs.ErrPermissionDenied}
}

func internal(format string, a ...any) error {
	return refusal{fmt.Sprintf(format, a...), errdefs.ErrInternal}
}

func conflict(format string, a ...any) error {
	return refusal{fmt.Sprintf(format, a...), errdefs.ErrConflict}
}

func notConnected(container, network string) error {
	return internal("container %s is not connected to network %s", container, network)
}

// setup is dockerd's frame around whatever keeps a container's networks from being made at its start.
func setup(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failed to set up container networking: %w", err)
}

var (
	errNoName = refusal{"invalid name: name is empty", errdefs.ErrInvalidArgument}
	errShared = refusal{"container sharing network namespace with another container or host cannot be connected to any other network", errdefs.ErrInvalidArgument}
	errNone   = refusal{"container cannot be connected to multiple networks with one of the networks in private (none) mode", errdefs.ErrInvalidArgument}
	errToHost = refusal{"cannot connect container to host network - container must be created in host network mode", errdefs.ErrInvalidArgument}
	errOfHost = refusal{"cannot disconnect container from host network - container was created in host network mode", errdefs.ErrInvalidArgument}
	errTags   = refusal{"no room for another endpoint: an instance has at most 4094 endpoints and gateways at a time", errdefs.ErrUnavailable}
	errPrune  = refusal{"a prune operation is already running", errdefs.ErrConflict}
)
