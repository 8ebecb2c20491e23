//go:build !linux

package main

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
)

func runKeeper(context.Context, options) error {
	return fmt.Errorf("no driver of sandboxes for this system is built in: %w", errdefs.ErrNotImplemented)
}

func runWorker(context.Context, options) error {
	return fmt.Errorf("no driver of sandboxes for this system is built in: %w", errdefs.ErrNotImplemented)
}
