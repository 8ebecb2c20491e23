package server

import (
	"errors"
	"net/http"

	"github.com/containerd/errdefs"
)

var (
	// ErrClientLeft is the cause of a request context whose client closed its connection.
	ErrClientLeft error = clientLeft{}
	// ErrStopping is the cause of a request context that ended because the server stops.
	ErrStopping = errors.New("the server is stopping")

	errBodyTooLarge error = statusError{http.StatusRequestEntityTooLarge, "request body too large"}
)

type clientLeft struct{}

func (clientLeft) Error() string { return "the client closed the connection" }

// ClientLeft marks the error for those who do not know this package.
func (clientLeft) ClientLeft() {}

// statusClientLeft stands in the log for an answer that nobody waited for.
const statusClientLeft = 499

// statusError is an error that names its status itself.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

// statusOf maps an error to a status by the class of the outermost error that has one, as moby's httpstatus does. It is
// the one place where that happens.
func statusOf(err error) int {
	var own statusError
	if errors.As(err, &own) {
		return own.status
	}
	resolved := errdefs.Resolve(err)
	for _, class := range classes {
		if class.is(resolved) {
			return class.status
		}
	}
	return http.StatusInternalServerError
}

var classes = []struct {
	is     func(error) bool
	status int
}{
	{errdefs.IsNotFound, http.StatusNotFound},
	{errdefs.IsInvalidArgument, http.StatusBadRequest},
	{errdefs.IsConflict, http.StatusConflict},
	{errdefs.IsAlreadyExists, http.StatusConflict},
	{errdefs.IsFailedPrecondition, http.StatusBadRequest},
	{errdefs.IsOutOfRange, http.StatusBadRequest},
	{errdefs.IsAborted, http.StatusConflict},
	{errdefs.IsResourceExhausted, http.StatusTooManyRequests},
	{errdefs.IsUnauthorized, http.StatusUnauthorized},
	{errdefs.IsUnavailable, http.StatusServiceUnavailable},
	{errdefs.IsPermissionDenied, http.StatusForbidden},
	{errdefs.IsNotModified, http.StatusNotModified},
	{errdefs.IsNotImplemented, http.StatusNotImplemented},
}
