package uplink

import (
	"errors"
	"syscall"
)

// isRefusal tells of an error that is about an earlier datagram.
func isRefusal(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EMSGSIZE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
