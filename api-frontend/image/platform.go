package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func formatPlatform(p ocispec.Platform) string { return platforms.FormatAll(p) }

// notFor says that an image is for other platforms.
func notFor(ref string, p ocispec.Platform) error {
	return errdefs.ErrNotFound.WithMessage(fmt.Sprintf(
		"image with reference %s was found but does not provide the specified platform (%s)", ref, formatPlatform(p)))
}
