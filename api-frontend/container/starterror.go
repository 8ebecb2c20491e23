package container

import (
	"errors"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/sandbox"
)

// startError gives dockerd's exit code and sentence for a start that failed: 127 for a command that is not there, 126
// for one that cannot be run, 128 for everything else.
func startError(err error) (int, error) {
	text := err.Error()
	oci := strings.HasPrefix(text, "runc ")
	if oci {
		// The words of containerd around those of runc.
		text = "failed to create task for container: failed to create shim task: OCI runtime create failed: " + text + ": unknown"
	}
	contains := func(ss ...string) bool {
		for _, s := range ss {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	switch {
	case contains("executable file not found", "no such file or directory", "system cannot find the file specified") && oci:
		return 127, &sentence{text, errdefs.ErrInvalidArgument}
	case contains("permission denied", "is a directory", "not a directory", "exec format error") && oci:
		return 126, &sentence{text, errdefs.ErrInvalidArgument}
	case oci && errdefs.IsInvalidArgument(err):
		return 128, &sentence{text, errdefs.ErrInvalidArgument}
	case errors.Is(err, sandbox.ErrDead), errdefs.IsInvalidArgument(err), errdefs.IsNotFound(err), errdefs.IsConflict(err), errdefs.IsUnavailable(err):
		return 128, err
	}
	return 128, &sentence{text, errdefs.ErrUnknown}
}
