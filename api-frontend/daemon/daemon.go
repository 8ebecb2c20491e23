package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/api-frontend/archive"
	"github.com/arca-engine/arca/api-frontend/bindsocket"
	"github.com/arca-engine/arca/api-frontend/commit"
	"github.com/arca-engine/arca/api-frontend/config"
	"github.com/arca-engine/arca/api-frontend/container"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/exec"
	"github.com/arca-engine/arca/api-frontend/fabric"
	"github.com/arca-engine/arca/api-frontend/health"
	"github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/registry"
	"github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/routes"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/api-frontend/system"
	"github.com/arca-engine/arca/api-frontend/volume"
	"github.com/arca-engine/arca/internal/version"
)

// Options say which instance this is.
type Options struct {
	Home        string // absolute.
	HelperImage string // path of its archive; empty: there is none.
	Config      *config.Config
	Log         hclog.Logger
}

// Daemon is an assembled frontend. Run it once.
type Daemon struct {
	o         Options
	store     *store.Store
	client    *sandbox.Client
	sandboxes *sandbox.Manager
	events    *event.Bus
	images    *image.Service
	volumes   *volume.Service
	engine    *container.Engine
	networks  *network.Service
	fabric    *fabric.Fabric
	execs     *exec.Service
	health    *health.Service
	sockets   *bindsocket.Joiner
	server    *server.Server
	listeners []net.Listener
}

// Run serves the API of an instance until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	d := &Daemon{o: o, events: &event.Bus{}}
	base := filepath.Join(o.Home, "frontend")
	for _, dir := range []string{base, filepath.Join(base, "images"), filepath.Join(base, "containers")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if d.store, err = store.Open(filepath.Join(base, "state.db")); err != nil {
		return err
	}
	defer func() {
		if cerr := d.store.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close database: %w", cerr)
		}
	}()
	run := filepath.Join(o.Home, "run")
	if d.client, err = sandbox.NewClient(filepath.Join(run, "vmhelper", "vmhelper.sock"), filepath.Join(run, "vmhelper", "descriptor.sock")); err != nil {
		return err
	}
	defer func() { _ = d.client.Close() }()
	d.sandboxes = sandbox.NewManager(d.client, o.Log.Named("sandbox"))
	if err := d.assemble(base); err != nil {
		return err
	}
	defer func() { _ = d.images.Close() }()
	defer d.networks.Close()
	if d.listeners, err = listen(filepath.Join(run, "arca.sock"), o.Config); err != nil {
		return err
	}
	return d.serve(ctx)
}

// assemble makes the rooms.
func (d *Daemon) assemble(base string) (err error) {
	o, cfg := d.o, d.o.Config
	users := &lateUsers{store: d.store}
	d.images, err = image.New(image.Options{
		Dir: filepath.Join(base, "images"), Store: d.store, Publisher: d.events, Users: users, Detach: d.client.ReleaseDisk, Log: o.Log,
		Registry:  registry.Config{Mirrors: cfg.Mirrors, Insecure: cfg.InsecureRegistries, UserAgent: "arca/" + version.Get().Version},
		Downloads: cfg.MaxConcurrentDownloads, Uploads: cfg.MaxConcurrentUploads, Attempts: cfg.MaxDownloadAttempts,
	})
	if err := errors.Join(err, users.failed); err != nil {
		return err
	}
	d.volumes = volume.New(d.store, d.client, d.events, func() string {
		if root := d.sandboxes.Info().GetVolumeRoot(); root != "" {
			return root
		}
		return filepath.Join(o.Home, "vmhelper", "volumes")
	})
	d.sockets = bindsocket.New(bindsocket.Own{Path: filepath.Join(o.Home, "run", "arca.sock"), Next: d.client})
	id, err := system.LoadID(filepath.Join(base, "engine-id"))
	if err != nil {
		return err
	}
	made, err := os.Stat(filepath.Join(base, "engine-id"))
	if err != nil {
		return fmt.Errorf("read the engine's age: %w", err)
	}
	d.networks, err = network.Open(network.Config{
		Store: d.store, Events: d.events, EngineID: id, Created: made.ModTime().UTC(), Log: o.Log.Named("network"),
		Settings: networkSettings(cfg),
	})
	if err != nil {
		return err
	}
	d.engine, err = container.New(container.Config{
		Store: d.store, Sandboxes: d.sandboxes, Images: imagesFor{d.images}, Volumes: d.volumes, Events: d.networks.Announcer(),
		Dir: filepath.Join(base, "containers"), Sockets: d.sockets, Log: o.Log.Named("container"),
		Environment: environment(cfg), World: world(cfg), LiveRestore: cfg.LiveRestore,
	})
	if err != nil {
		return err
	}
	users.engine = d.engine
	d.fabric, err = fabric.New(fabric.Config{
		Sandboxes: d.sandboxes, Images: d.images, Store: d.store, EngineID: id, ImagePath: o.HelperImage, Denied: listening(cfg),
		LogPath: filepath.Join(base, "helper.log"), StatePath: filepath.Join(o.Home, "run", "helper.json"),
		World: world(cfg), Log: o.Log.Named("fabric"),
	})
	if err != nil {
		return err
	}
	if err := d.networks.Use(d.fabric, d.engine); err != nil {
		return err
	}
	d.fabric.Use(d.networks.State)
	d.engine.UseNetworks(d.networks, d.fabric)
	d.execs = exec.New(containersFor{d.engine}, o.Log.Named("exec"))
	d.health = health.New(containersFor{d.engine}, d.execs, o.Log.Named("health"))
	d.engine.UseExecs(d.execs)
	d.engine.UseHealth(d.health)
	sys := system.New(system.Options{
		ID: id, Home: o.Home, Config: func() *config.Config { return cfg },
		Containers: d.engine, Images: imagesFor{d.images}, ContainerUsage: d.engine, VolumeUsage: d.volumes, Listeners: d.events, Helper: helperFor{d.sandboxes},
		Runc: system.Component{Version: version.Runc}, Init: system.Component{Version: version.Get().Version, Commit: version.Get().Commit},
	})
	archives := archive.New(archivesFor{containersFor{d.engine}})
	table, err := routes.Table(
		routes.AbsentRoutes(),
		routes.ArchiveRoutes(archives),
		routes.CommitRoutes(commit.New(d.engine, archives, d.images)),
		routes.ContainerMiscRoutes(d.engine),
		routes.ContainerRoutes(d.engine),
		routes.DistributionRoutes(d.images),
		routes.EventRoutes(d.events),
		routes.ExecRoutes(d.execs),
		routes.ImageRoutes(d.images),
		routes.LogRoutes(d.engine),
		routes.NetworkRoutes(d.networks),
		routes.SystemRoutes(sys),
		routes.VolumeRoutes(d.volumes),
	)
	if err != nil {
		return err
	}
	d.server, err = server.New(server.Config{Routes: table, EngineVersion: version.Get().Version, Logger: o.Log.Named("api")})
	return err
}

// helperStopLimit bounds the end of the networks' helper at a shutdown.
const helperStopLimit = 10 * time.Second

// serve runs everything until ctx ends, then ends it in order.
func (d *Daemon) serve(ctx context.Context) error {
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	group, failed := errgroup.WithContext(work)
	serving, stopServing := context.WithCancelCause(work)
	defer stopServing(nil)
	group.Go(func() error { return d.engine.Run(work) })
	group.Go(func() error { return d.fabric.Run(work) })
	group.Go(func() error { d.execs.Sweep(work); return nil })
	group.Go(func() error { return d.server.Serve(serving, d.listeners...) })
	d.o.Log.Info("API listens", "socket", d.listeners[0].Addr().String(), "version", version.Get().Version)
	group.Go(func() error { return d.reconcileVolumes(work) })
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	d.o.Log.Info("shutting down", "reason", context.Cause(ctx))
	stopServing(context.Cause(ctx))
	limit := time.Duration(d.o.Config.ShutdownTimeout) * time.Second
	stopping, cancel := work, context.CancelFunc(func() {})
	if limit, limited := d.engine.ShutdownLimit(limit); limited {
		stopping, cancel = context.WithTimeout(work, limit)
	}
	d.engine.Shutdown(stopping)
	cancel()
	if !d.o.Config.LiveRestore {
		stopping, cancel := context.WithTimeout(work, helperStopLimit)
		d.fabric.Shutdown(stopping)
		cancel()
	}
	d.health.Close()
	d.execs.Close()
	stopWork(context.Cause(ctx))
	return group.Wait()
}

// reconcileVolumes brings volumes and their stores together, once vmhelper is there.
func (d *Daemon) reconcileVolumes(ctx context.Context) error {
	for ctx.Err() == nil {
		if d.sandboxes.Ready(ctx) == nil {
			break
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	err := d.volumes.Reconcile(ctx, func(id string) bool {
		_, err := d.engine.RecordOf(id)
		return err == nil
	})
	if err != nil && ctx.Err() == nil {
		d.o.Log.Error("reconcile volumes", "error", err)
	}
	return nil
}

// lateUsers breaks the circle of images that ask who uses them and containers that need images: until there is an
// engine, the database answers. The networks' helper is a user too.
type lateUsers struct {
	store  *store.Store
	engine *container.Engine
	failed error // of the database, before there was an engine.
}

// ImageUsers implements image.Users.
func (l *lateUsers) ImageUsers() (users []image.User) {
	disks, err := fabric.Disks(l.store)
	if len(disks) > 0 {
		users = append(users, image.User{Disks: disks})
	}
	if l.engine != nil {
		return append(users, l.engine.ImageUsers()...)
	}
	l.failed = err
	records := store.Bucket[*record.Container]{Name: record.Bucket}
	err = l.store.View(func(tx *store.Tx) error {
		return records.Each(tx, func(_ string, r *record.Container) error {
			users = append(users, image.User{ID: r.ID, ImageID: r.ImageID, Disks: r.Layers})
			return nil
		})
	})
	if err != nil {
		l.failed = err
	}
	return users
}
