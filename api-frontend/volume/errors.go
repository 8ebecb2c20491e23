package volume

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// OpError is Docker's refusal of an operation on a volume. Err tells the class.
type OpError struct {
	Op   string
	Name string
	Err  error
	Refs []string
}

// Error says it in Docker's words.
func (e *OpError) Error() string {
	s := e.Op
	if e.Name != "" {
		s += " " + e.Name
	}
	s += ": " + e.Err.Error()
	if len(e.Refs) > 0 {
		s += " - [" + strings.Join(e.Refs, ", ") + "]"
	}
	return s
}

// Unwrap returns what happened.
func (e *OpError) Unwrap() error { return e.Err }

// sentence is a text with a class.
type sentence struct {
	text  string
	class error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.class }

var (
	errInUse        = &sentence{"volume is in use", errdefs.ErrConflict}
	errNoSuchVolume = &sentence{"no such volume", errdefs.ErrNotFound}
	errPruning      = &sentence{"a prune operation is already running", errdefs.ErrConflict}
)

func invalid(format string, a ...any) error {
	return &sentence{fmt.Sprintf(format, a...), errdefs.ErrInvalidArgument}
}

func noSuchPlugin(driver string) error {
	return &sentence{fmt.Sprintf("error looking up volume plugin %s: plugin %q not found", driver, driver), errdefs.ErrNotFound}
}

// opError puts the operation before an error, unless it is there already.
func opError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*OpError); ok { //nolint:errorlint // Only an outermost one says the operation first.
		return e
	}
	return &OpError{Op: op, Name: name, Err: err}
}
