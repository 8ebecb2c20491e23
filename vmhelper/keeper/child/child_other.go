//go:build !linux

package child

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Child is a process that is watched.
type Child struct{ Pid int }

// Start starts a child.
func Start(s Spec) (*Child, error) {
	return nil, fmt.Errorf("start %s on this system: %w", s.Path, errdefs.ErrNotImplemented)
}

// Wait waits for the end of the child.
func (c *Child) Wait() (string, error) { return "", errdefs.ErrNotImplemented }

// Close forgets the child without ending it.
func (c *Child) Close() error { return nil }
