package child

import (
	"errors"
	"os"
)

// ErrGone is returned for a process that has ended, or whose pid belongs to another one now.
var ErrGone = errors.New("the process is gone")

// Spec says what to start.
type Spec struct {
	Path  string
	Args  []string // with the name that the program sees as its first.
	Env   []string
	Files []*os.File // by descriptor number; they stay the caller's.

	// UID and GID are those of the child when Confine is set.
	Confine  bool
	UID, GID uint32
	Caps     []uintptr // ambient capabilities, the only ones a confined child has.

	Cloneflags uintptr  // CLONE_NEW*.
	Cgroup     *os.File // version 2 group to start in; may be nil.
	Tasks      []string // tasks files of version 1 groups to start in.
}
