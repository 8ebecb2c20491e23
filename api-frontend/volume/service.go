package volume

import (
	"context"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/store"
)

// Stores is what volumes need of vmhelper. Each call may be repeated.
type Stores interface {
	CreateVolume(ctx context.Context, id string) error
	RemoveVolume(ctx context.Context, id string) error
	UsageVolume(ctx context.Context, id string) (int64, error)
	Stores(ctx context.Context) (uppers, volumes []string, err error)
}

// Publisher tells the world what happened.
type Publisher interface{ Publish(events.Message) }

// Service keeps the volumes.
type Service struct {
	db      *store.Store
	stores  Stores
	publish Publisher
	root    func() string
	now     func() time.Time
	pruning atomic.Bool
	made    sync.Map // IDs of stores that are known to exist.
}

// New makes a service. root is the directory shown as the parent of volume mount points.
func New(db *store.Store, stores Stores, publisher Publisher, root func() string) *Service {
	return &Service{db: db, stores: stores, publish: publisher, root: root, now: time.Now}
}

// Mountpoint is the path that clients are shown for a volume.
func (s *Service) Mountpoint(r Record) string { return path.Join(s.root(), r.ID, "_data") }

// cleanup is the context of what must happen although the client has left.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}
