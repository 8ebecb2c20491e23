package image

import (
	"cmp"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/image/content"
	"github.com/arca-engine/arca/api-frontend/image/layerdisk"
	"github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/store"
)

// Publisher takes the events of images.
type Publisher interface {
	Publish(events.Message)
}

// User is a container as far as its image is concerned.
type User struct {
	ID      string
	ImageID string
	// ImageRef is the name that the container was made with.
	ImageRef string
	// Disks are the IDs of the layer disks under the container. They stay when the image goes.
	Disks   []string
	Running bool
}

// Users tells which containers use images.
type Users interface {
	ImageUsers() []User
}

// Options configure a Service.
type Options struct {
	// Dir is the folder of the content.
	Dir string
	// Store is the database.
	Store *store.Store
	// Registry says how registries are reached.
	Registry registry.Config
	// Publisher and Users may be nil.
	Publisher Publisher
	Users     Users
	// Detach makes vmhelper let go of a disk (64 hex digits) that is about to be deleted. May be nil.
	Detach func(ctx context.Context, diskID string) error
	// Downloads bounds the parallel downloads of one instance; zero is 3, as Docker's max-concurrent-downloads.
	Downloads int
	// Uploads bounds the parallel uploads of a push; zero is 5.
	Uploads int
	// Attempts bounds the tries of one download; zero is 5, as Docker's max-download-attempts.
	Attempts int
	// RetryUnit is the pause before the second try; it grows by itself each time. Zero is a second.
	RetryUnit time.Duration
	// Platform is the instance's own; empty fields are this machine's, on Linux.
	Platform ocispec.Platform
	// Limits bound a layer.
	Limits layerdisk.Limits
	// Log may be nil.
	Log hclog.Logger
}

// Service is the image room of the engine. It is safe for concurrent use.
type Service struct {
	opt      Options
	db       *store.Store
	content  *content.Store
	registry *registry.Client
	platform ocispec.Platform
	log      hclog.Logger
	flights  flights
	places   chan struct{} // Download places.
	root     context.Context
	stop     context.CancelCauseFunc

	leases  leases
	configs sync.Map // Parsed configurations by digest: they never change.
	pruning atomic.Bool
	// gc is held while content is removed, and while a record begins to name content.
	gc sync.Mutex
}

// errStopped is the cause of work that ended because the service was closed.
var errStopped = errdefs.ErrUnavailable.WithMessage("the engine is stopping")

// New opens the images of an instance, and sweeps what a crash left half-made.
func New(opt Options) (*Service, error) {
	reg, err := registry.New(opt.Registry)
	if err != nil {
		return nil, err
	}
	c, err := content.Open(opt.Dir)
	if err != nil {
		return nil, err
	}
	if opt.Limits == (layerdisk.Limits{}) {
		opt.Limits = layerdisk.DefaultLimits
	}
	opt.Downloads = cmp.Or(opt.Downloads, 3)
	opt.Uploads = cmp.Or(opt.Uploads, 5)
	opt.Attempts = cmp.Or(opt.Attempts, 5)
	if opt.Log == nil {
		opt.Log = hclog.NewNullLogger()
	}
	s := &Service{
		opt: opt, db: opt.Store, content: c, registry: reg, log: opt.Log.Named("image"),
		places: make(chan struct{}, opt.Downloads), platform: opt.Platform,
	}
	if s.platform.OS == "" {
		s.platform.OS = "linux"
	}
	if s.platform.Architecture == "" {
		s.platform.Architecture = runtime.GOARCH
	}
	s.flights.m = make(map[digest.Digest]*flight)
	s.leases.n = make(map[digest.Digest]int)
	s.root, s.stop = context.WithCancelCause(context.Background())
	if err := s.sweep(time.Now().Add(-keepUnnamed)); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends downloads and waits for them.
func (s *Service) Close() error {
	s.stop(errStopped)
	s.flights.wg.Wait()
	s.registry.Close()
	return nil
}
