package logs

import (
	"errors"

	"github.com/containerd/errdefs"
)

// Error is a sentence of Docker's with its class.
type Error struct {
	Message string
	Class   error
}

// Error returns the sentence alone.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the class, an error of errdefs.
func (e *Error) Unwrap() error { return e.Class }

// ErrReadNotSupported is the answer to reading a container whose driver keeps nothing.
var ErrReadNotSupported error = &Error{"configured logging driver does not support reading", errdefs.ErrNotImplemented}

// ErrWrite marks the errors of the writer that a reading or a subscription was given.
var ErrWrite = errors.New("write output")

func invalid(message string) error { return &Error{message, errdefs.ErrInvalidArgument} }
