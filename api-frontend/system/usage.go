package system

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/volume"
	"golang.org/x/sync/errgroup"
)

// UsageOptions choose what is measured.
type UsageOptions struct {
	Containers, Images, Volumes, BuildCache bool
}

// DiskUsage is the answer in the form of API versions up to 1.51; what was not asked for is null.
type DiskUsage struct {
	LayersSize int64
	Images     []image.Summary
	Containers any
	Volumes    []volume.Volume
	BuildCache []struct{}
}

// DiskUsage measures what the engine stores.
func (s *Service) DiskUsage(ctx context.Context, o UsageOptions) (*DiskUsage, error) {
	out := &DiskUsage{}
	group, ctx := errgroup.WithContext(ctx)
	if o.Images {
		group.Go(func() (err error) {
			if out.Images, out.LayersSize, err = s.o.Images.ImageUsage(ctx); err != nil {
				return fmt.Errorf("measure images: %w", err)
			}
			out.Images = append([]image.Summary{}, out.Images...)
			return nil
		})
	}
	if o.Containers {
		group.Go(func() (err error) {
			if out.Containers, err = s.o.ContainerUsage.ContainerUsage(ctx); err != nil {
				return fmt.Errorf("measure containers: %w", err)
			}
			return nil
		})
	}
	if o.Volumes {
		group.Go(func() (err error) {
			if out.Volumes, err = s.o.VolumeUsage.Usage(ctx); err != nil {
				return fmt.Errorf("measure volumes: %w", err)
			}
			out.Volumes = append([]volume.Volume{}, out.Volumes...)
			return nil
		})
	}
	if o.BuildCache {
		// There is no builder, so its cache is empty.
		out.BuildCache = []struct{}{}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}
