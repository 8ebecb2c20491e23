package image

import (
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func checkConfigType(media string) error {
	switch media {
	case string(types.DockerConfigJSON), ocispec.MediaTypeImageConfig:
		return nil
	case string(types.DockerPluginConfig):
		return errdefs.ErrInvalidArgument.WithMessage(`Encountered remote "` + media + `"(plugin) when fetching`)
	case "application/vnd.cncf.helm.config.v1+json":
		return errdefs.ErrInvalidArgument.WithMessage(`Encountered remote "` + media + `"(unknown) when fetching`)
	}
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("Encountered remote %q(unknown) when fetching", media))
}

func checkLayerType(media string) error {
	switch types.MediaType(media) {
	case types.DockerLayer, types.DockerUncompressedLayer, types.DockerForeignLayer,
		types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer,
		types.OCIRestrictedLayer, types.OCIUncompressedRestrictedLayer:
		return nil
	case "application/vnd.docker.image.rootfs.diff.tar.zstd":
		return nil
	}
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("unsupported layer media type %q", media))
}
