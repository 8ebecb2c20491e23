package daemon

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	imagetypes "github.com/moby/moby/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/archive"
	"github.com/arca-engine/arca/api-frontend/container"
	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/exec"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/system"
)

// imagesFor is the image room as containers see it.
type imagesFor struct{ *image.Service }

// Defaults implements container.Images.
func (i imagesFor) Defaults(ctx context.Context, ref, platform string) (normal.ImageDefaults, func(), error) {
	if ref == "" {
		return normal.ImageDefaults{}, nil, errNoImage
	}
	var p *ocispec.Platform
	if platform != "" {
		parsed, err := platforms.Parse(platform)
		if err != nil {
			return normal.ImageDefaults{}, nil, badPlatform(err)
		}
		p = &parsed
	}
	img, err := i.Resolve(ctx, ref, p)
	if err != nil {
		return normal.ImageDefaults{}, nil, err
	}
	release, ok := i.Hold(img)
	if !ok {
		return normal.ImageDefaults{}, nil, errdefs.ErrNotFound.WithMessage("No such image: " + ref)
	}
	d := normal.ImageDefaults{
		ID: img.ID, Config: &img.Config,
		Platform: record.Platform{OS: img.Platform.OS, Architecture: img.Platform.Architecture, Variant: img.Platform.Variant},
	}
	for _, l := range img.Layers {
		d.Layers = append(d.Layers, l.DiskID)
	}
	return d, release, nil
}

// ID implements container.Images.
func (i imagesFor) ID(ctx context.Context, ref string) string {
	img, err := i.Resolve(ctx, ref, nil)
	if err != nil {
		return ""
	}
	return img.ID
}

// Size implements container.Images.
func (i imagesFor) Size(ctx context.Context, id string) int64 {
	img, err := i.Resolve(ctx, id, nil)
	if err != nil {
		return 0
	}
	return img.Size
}

// containersFor is the engine as the rooms that act on containers see it.
type containersFor struct{ *container.Engine }

// Record finds a container.
func (c containersFor) Record(ref string) (*record.Container, error) { return c.RecordOf(ref) }

// Agent implements exec.Containers.
func (c containersFor) Agent(id string) (exec.Agent, error) {
	a, err := c.RunningAgent(id)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// archivesFor is the engine as docker cp sees it.
type archivesFor struct{ containersFor }

// Borrow implements archive.Containers.
func (c archivesFor) Borrow(ctx context.Context, rec *record.Container) (archive.Agent, func(), error) {
	a, release, err := c.Engine.Borrow(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	return a, release, nil
}

// helperFor is vmhelper as info sees it.
type helperFor struct{ *sandbox.Manager }

// HelperInfo implements system.Helper.
func (h helperFor) HelperInfo(ctx context.Context) (system.HelperInfo, error) {
	if err := h.Ready(ctx); err != nil {
		return system.HelperInfo{}, err
	}
	info := h.Info()
	return system.HelperInfo{
		Version: info.GetVersion(), Driver: info.GetDriver(),
		KernelPerContainer: info.GetFeatures().GetKernelPerContainer(), HostNetwork: info.GetFeatures().GetHostNetwork(),
	}, nil
}

// Ancestors implements container.Images.
func (i imagesFor) Ancestors(ctx context.Context, ref string) []string {
	id := i.ID(ctx, ref)
	if id == "" {
		return nil
	}
	all, err := i.List(ctx, image.ListOptions{All: true})
	if err != nil {
		return []string{id}
	}
	family := []string{id}
	for n := 0; n < len(family); n++ {
		for _, img := range all {
			if img.ParentID == family[n] && !slices.Contains(family, img.ID) {
				family = append(family, img.ID)
			}
		}
	}
	return family
}

// CountImages implements system.Images.
func (i imagesFor) CountImages(ctx context.Context) (int, error) {
	all, err := i.List(ctx, image.ListOptions{All: true})
	return len(all), err
}

// ImageUsage implements system.Images.
func (i imagesFor) ImageUsage(ctx context.Context) ([]imagetypes.Summary, int64, error) {
	all, err := i.List(ctx, image.ListOptions{All: true, SharedSize: true, Containers: true})
	if err != nil {
		return nil, 0, err
	}
	layers := map[string]int64{}
	for _, s := range all {
		img, err := i.Resolve(ctx, s.ID, nil)
		if err != nil {
			continue // Removed since it was listed.
		}
		for _, l := range img.Layers {
			layers[l.DiskID] = l.Size
		}
	}
	var total int64
	for _, n := range layers {
		total += n
	}
	return all, total, nil
}
