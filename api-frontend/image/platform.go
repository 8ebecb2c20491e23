package image

import (
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func formatPlatform(p ocispec.Platform) string { return platforms.FormatAll(p) }
