package network

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// refusal is a sentence with its class.
type refusal struct {
	text  string
	class error
}

func (e refusal) Error() string { return e.text }
func (e refusal) Unwrap() error { return e.class }

func notFound(ref string) error {
	return refusal{fmt.Sprintf("network %s not found", ref), errdefs.ErrNotFound}
}

func ambiguous(ref string, n int) error {
	return refusal{fmt.Sprintf("network %s is ambiguous (%d matches found based on ID prefix)", ref, n), errdefs.ErrInvalidArgument}
}

var (
	errNoName      = refusal{"invalid name: ", errdefs.ErrInvalidArgument}
	errUserDefined = refusal{"user-defined networks are not supported by this version of the engine", errdefs.ErrNotImplemented}
	errAttach      = refusal{"containers cannot be connected to or disconnected from networks by this version of the engine", errdefs.ErrNotImplemented}
)
