package image

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Resolve finds an image by name, tag, digest, ID or the beginning of an ID. A platform that the image is not for is
// errdefs.ErrNotFound, as is an unknown name: "No such image: x:latest".
func (s *Service) Resolve(_ context.Context, ref string, platform *ocispec.Platform) (*Image, error) {
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	id, err := v.find(ref)
	if err != nil {
		return nil, err
	}
	img, err := s.image(v, id)
	if err != nil {
		return nil, err
	}
	if platform != nil && !s.matcher(platform).Match(img.Platform) {
		return nil, notFor(ref, *platform)
	}
	return img, nil
}

// DiskPaths are the files of an image's disks, lowest first. They are read-only and stay while the image does.
func (s *Service) DiskPaths(img *Image) []string {
	paths := make([]string, len(img.Layers))
	for i, l := range img.Layers {
		paths[i] = s.content.DiskPath(l.DiffID)
	}
	return paths
}

// DiskPath is the file of the disk with this ID (64 hex digits).
func (s *Service) DiskPath(diskID string) (string, error) {
	d := digest.NewDigestFromEncoded(digest.SHA256, diskID)
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("disk %q: %w: %w", diskID, err, errdefs.ErrInvalidArgument)
	}
	if !s.content.HasDisk(d) {
		return "", fmt.Errorf("disk %s: %w", diskID, errdefs.ErrNotFound)
	}
	return s.content.DiskPath(d), nil
}
