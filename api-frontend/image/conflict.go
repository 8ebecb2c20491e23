package image

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// ConflictError is Docker's refusal to remove an image.
type ConflictError struct {
	// Hard says that force does not help.
	Hard bool
	// Used says that a container is the reason.
	Used    bool
	ID      string
	Message string
}

// Error says it in Docker's words.
func (e *ConflictError) Error() string {
	force := "must be forced"
	if e.Hard {
		force = "cannot be forced"
	}
	return fmt.Sprintf("conflict: unable to delete %s (%s) - %s", truncate(e.ID), force, e.Message)
}

// Unwrap classifies the error.
func (e *ConflictError) Unwrap() error { return errdefs.ErrConflict }

func refUsed(ref, container, id string) error {
	return errdefs.ErrConflict.WithMessage(fmt.Sprintf(
		"conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s",
		ref, truncate(container), truncate(id)))
}

// truncate is an ID as the CLI shows it.
func truncate(id string) string {
	id = id[strings.IndexByte(id, ':')+1:]
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
