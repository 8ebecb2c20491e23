//go:build !linux

package keeper

import (
	"fmt"
	"os"

	"github.com/containerd/errdefs"
)

// WorkerSpec says how a worker is started.
type WorkerSpec struct {
	Args     []string
	Env      []string
	UID, GID uint32
	Files    []*os.File
}

// StartWorker starts a worker.
func StartWorker(WorkerSpec) (Worker, error) {
	return nil, fmt.Errorf("start a worker on this system: %w", errdefs.ErrNotImplemented)
}
