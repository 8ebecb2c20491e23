package exec

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// sentence is a Docker-visible text with its class.
type sentence struct {
	text  string
	class error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.class }

func conflict(format string, a ...any) error {
	return &sentence{fmt.Sprintf(format, a...), errdefs.ErrConflict}
}

func notFound(object, id string) error {
	return &sentence{"No such " + object + ": " + id, errdefs.ErrNotFound}
}

func invalid(text string) error { return &sentence{text, errdefs.ErrInvalidArgument} }

// errNoCommand refuses an exec without a command.
var errNoCommand = invalid("No exec command specified")

// Exit codes of processes that never ran, as shells have them.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
	codeUnknown       = 128
	codeKilled        = 137
)

// startError gives dockerd's exit code and sentence for a process that could not be started.
func startError(err error) (int, error) {
	text := err.Error()
	if strings.HasPrefix(text, "exec failed: ") || strings.HasPrefix(text, "runc exec failed: ") {
		text = "OCI runtime exec failed: " + strings.TrimPrefix(text, "runc ") + ": unknown"
	}
	lower := strings.ToLower(text)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(lower, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("permission denied"):
		return codeNotExecutable, invalid(text)
	case has("is a directory"):
		return codeNotExecutable, invalid(text + ": permission denied")
	case has("not a directory"):
		return codeNotFound, invalid(text + ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type")
	case has("executable file not found", "no such file or directory", "system cannot find the file specified", "failed to run runc create/exec call"):
		return codeNotFound, invalid(text)
	case errdefs.IsInvalidArgument(err):
		return codeNotExecutable, invalid(text) // Such as a user that does not exist.
	default:
		return codeUnknown, &sentence{text, errdefs.ErrUnknown}
	}
}
