package ipam

import "github.com/containerd/errdefs"

// sentence is one of dockerd's, with its class.
type sentence struct {
	text  string
	class error
}

func (e *sentence) Error() string { return e.text }
func (e *sentence) Unwrap() error { return e.class }

// Dockerd's sentences.
var (
	ErrNoSubnet   error = &sentence{"all predefined address pools have been fully subnetted", errdefs.ErrInvalidArgument}
	ErrOverlap    error = &sentence{"invalid pool request: Pool overlaps with other one on this address space", errdefs.ErrPermissionDenied}
	ErrInUse      error = &sentence{"Address already in use", errdefs.ErrPermissionDenied}
	ErrOutOfRange error = &sentence{"requested address is out of range", errdefs.ErrInvalidArgument}
	ErrExhausted  error = &sentence{"no available addresses on this pool", errdefs.ErrUnavailable}
)
