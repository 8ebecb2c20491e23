package system

import (
	"context"

	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/volume"
)

// Containers counts containers by state.
type Containers interface {
	CountContainers() (running, paused, stopped int)
}

// Images counts and measures images.
type Images interface {
	CountImages(ctx context.Context) (int, error)
	// ImageUsage gives every image with SharedSize and Containers filled, and the size of all layers together.
	ImageUsage(ctx context.Context) (images []image.Summary, layers int64, err error)
}

// ContainerUsage gives every container as the list shows it, sizes included; it is encoded as it is.
type ContainerUsage interface {
	ContainerUsage(ctx context.Context) (any, error)
}

// VolumeUsage gives every volume with its UsageData.
type VolumeUsage interface {
	Usage(ctx context.Context) ([]volume.Volume, error)
}

// Listeners counts the subscribers of events.
type Listeners interface {
	Subscribers() int
}

// Helper is what vmhelper says of itself.
type Helper interface {
	HelperInfo(ctx context.Context) (HelperInfo, error)
}

// HelperInfo describes the sandboxes' driver.
type HelperInfo struct {
	Version string
	// Driver is shown, never switched on.
	Driver string
	// KernelPerContainer says that a container is a VM, and the API's users are not root on this machine.
	KernelPerContainer bool
	HostNetwork        bool
}

// Component is a program that the engine ships.
type Component struct {
	Version, Commit string
}

// Options are what a Service stands on.
type Options struct {
	// ID is the engine's, see LoadID.
	ID string
	// Home is the instance's directory.
	Home string
	// Config gives the configuration in force.
	Config func() *config.Config

	Containers     Containers
	Images         Images
	ContainerUsage ContainerUsage
	VolumeUsage    VolumeUsage
	Listeners      Listeners
	Helper         Helper

	Runc, Init Component
}

// Service answers questions about the engine.
type Service struct {
	o    Options
	host host
}

// New makes a service.
func New(o Options) *Service { return &Service{o: o, host: measureHost()} }
