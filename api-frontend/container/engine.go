package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/store"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Publisher takes events.
type Publisher interface{ Publish(m events.Message) }

// Images is what containers need of images.
type Images interface {
	// Defaults resolves a reference; errdefs.ErrNotFound with Docker's sentence when there is none.
	// The image's disks stay until release, which is called once the container is registered or given up.
	Defaults(ctx context.Context, ref, platform string) (d normal.ImageDefaults, release func(), err error)
	// Collect removes those of the disks that neither an image nor a container has.
	Collect(diskIDs []string) error
	// ID tells which image a reference names now; empty: none.
	ID(ctx context.Context, ref string) string
	// Ancestors tells the IDs of an image and of those made from it; nothing for an unknown one.
	Ancestors(ctx context.Context, ref string) []string
	// Size is an image's uncompressed size in bytes; 0 for an unknown one.
	Size(ctx context.Context, id string) int64
}

// Health watches the health checks of running containers.
type Health interface {
	Initial(r *record.Container) *container.Health // of a run that begins.
	Start(id string)
	Stop(id string)
}

// Execs is told what happens to the processes beside the first.
type Execs interface {
	Exited(containerID, execID string, x *guestv1.Exit)
	ContainerEnded(id string)
	ContainerRemoved(id string)
	IDs(containerID string) []string // of those that have not ended.
	// Adopt takes the output of execs that a former engine started.
	Adopt(containerID string, execIDs ...string)
}

// SocketJoiner joins a container's connection to a bound socket with the host's socket, until both have ended.
type SocketJoiner interface {
	Join(ctx context.Context, containerID, hostPath string, guest func(ctx context.Context) (net.Conn, error)) error
}

// Config is what an engine is made of.
type Config struct {
	Store     *store.Store
	Sandboxes *sandbox.Manager
	Images    Images
	Volumes   Volumes
	Events    Publisher
	Dir       string // of the containers' files: logs.
	Sockets   SocketJoiner
	Log       hclog.Logger
	// Environment is what daemon.json and the machine say of new containers; its lookups are set by the engine.
	Environment normal.Environment
	// World is what specs depend on beside records.
	World oci.World
	// LiveRestore leaves containers running when the engine is shut down.
	LiveRestore bool
}

// Engine holds all containers of an instance.
type Engine struct {
	store     *store.Store
	sandboxes *sandbox.Manager
	images    Images
	volumes   Volumes
	events    Publisher
	health    Health
	execs     Execs
	networks  Networks
	fabric    Fabric

	socketJoiner SocketJoiner
	base         string
	log          hclog.Logger
	env          normal.Environment
	world        oci.World
	live         bool

	mu    sync.RWMutex
	byID  map[string]*Container
	names map[string]string // name to ID; reserved names of creations under way too.
	ids   []string          // sorted, for prefixes.

	life   sync.RWMutex // read by goRun: no goroutine is added once wait has begun.
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	closed bool
	booted bool // the first reconciliation is over.

	shutting atomic.Bool // Shutdown was called: nothing is started any more.
}

var errShutdown = fmt.Errorf("the engine is shutting down: %w", errdefs.ErrUnavailable)

// New loads all containers. Attach health, exec and networks with UseHealth, UseExecs and UseNetworks, then call Run.
func New(cfg Config) (*Engine, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	e := &Engine{
		store: cfg.Store, sandboxes: cfg.Sandboxes, images: cfg.Images, volumes: cfg.Volumes, events: cfg.Events,
		base: cfg.Dir, socketJoiner: cfg.Sockets, log: cfg.Log, env: cfg.Environment, world: cfg.World, live: cfg.LiveRestore,
		byID: map[string]*Container{}, names: map[string]string{}, ctx: ctx, cancel: cancel,
	}
	err := cfg.Store.View(func(tx *store.Tx) error {
		return bucket.Each(tx, func(_ string, r *record.Container) error {
			e.addLocked(newContainer(r))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("load containers: %w", err)
	}
	return e, e.sweep()
}

// sweep removes the directories of containers that are not: of a creation that was cut before its commit.
func (e *Engine) sweep() error {
	entries, err := os.ReadDir(e.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep containers: %w", err)
	}
	for _, d := range entries {
		if e.byID[d.Name()] != nil || len(d.Name()) != idLength || !d.IsDir() {
			continue
		}
		if err := os.RemoveAll(e.dir(d.Name())); err != nil {
			return fmt.Errorf("sweep containers: %w", err)
		}
		e.log.Info("removed the directory of a container that was never made", "container", d.Name())
	}
	return nil
}

// idLength is that of a container's ID in hex digits.
const idLength = 64

// UseHealth sets the health monitor, before Run.
func (e *Engine) UseHealth(h Health) { e.health = h }

// UseExecs sets the exec service, before Run.
func (e *Engine) UseExecs(x Execs) { e.execs = x }

// Run follows the sandboxes until ctx ends, then waits for every goroutine of the engine. Containers run on.
func (e *Engine) Run(ctx context.Context) error {
	err := e.sandboxes.Run(ctx, e)
	e.cancel(errShutdown)
	e.life.Lock()
	e.closed = true
	e.life.Unlock()
	e.wg.Wait()
	for _, c := range e.All() {
		c.mu.Lock()
		if c.log != nil {
			if cerr := c.log.Abandon(); cerr != nil && err == nil {
				err = cerr
			}
		}
		c.mu.Unlock()
	}
	return err
}

// goRun runs f in a goroutine that Run waits for; false when Run is over. Its context ends with the engine.
func (e *Engine) goRun(f func(ctx context.Context)) bool {
	e.life.RLock()
	defer e.life.RUnlock()
	if e.closed {
		return false
	}
	e.wg.Go(func() { f(e.ctx) })
	return true
}

// detached returns a context that outlives the client of ctx, and ends with the engine.
func (e *Engine) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(e.ctx, func() { cancel(errShutdown) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (e *Engine) dir(id string) string { return filepath.Join(e.base, id) }

// publish tells an event of a container, with the attributes that dockerd gives: its labels, image and name.
func (e *Engine) publish(action events.Action, r *record.Container, extra map[string]string) {
	attrs := make(map[string]string, len(r.Config.Labels)+len(extra)+2)
	for k, v := range r.Config.Labels {
		attrs[k] = v
	}
	if r.Config.Image != "" {
		attrs["image"] = r.Config.Image
	}
	attrs["name"] = r.Name
	for k, v := range extra {
		attrs[k] = v
	}
	e.events.Publish(events.Message{
		Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: r.ID, Attributes: attrs},
	})
}

// Publish tells an event of the container with this ID, for the rooms that act on containers (exec, health).
func (e *Engine) Publish(id string, action events.Action, extra map[string]string) {
	if c, err := e.Get(id); err == nil {
		e.publish(action, c.Record(), extra)
	}
}
