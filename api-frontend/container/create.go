package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"

	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/store"
	"github.com/arca-engine/arca/api-frontend/volume"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// Volumes keeps the volumes of containers.
type Volumes interface {
	Acquire(tx *store.Tx, containerID string, req volume.Request) (volume.Record, error)
	Release(tx *store.Tx, containerID string, names ...string) error
	Prepare(ctx context.Context, names ...string) (map[string]volume.Source, error)
	RemoveUnused(ctx context.Context, names ...string) error
	Mountpoint(r volume.Record) string
	Mounted(u volume.Use)
	Unmounted(name, containerID string)
}

// CreateOptions are the parameters of POST /containers/create beside its body.
type CreateOptions struct {
	Name     string
	Platform string
	Version  string // of the API.
}

// Create makes a container and returns its ID and warnings.
func (e *Engine) Create(ctx context.Context, req *normal.Request, o CreateOptions) (string, []string, error) {
	if req.Config == nil {
		return "", nil, invalid("config cannot be empty in order to create a container")
	}
	if err := e.sandboxes.Ready(ctx); err != nil {
		return "", nil, err
	}
	if o.Name != "" {
		var err error
		if o.Name, err = normal.CheckName(o.Name); err != nil {
			return "", nil, err
		}
	}
	env := e.environment(ctx)
	prepared, err := normal.Prepare(req, &env, o.Version)
	if err != nil {
		return "", nil, err
	}
	image, drop, err := e.images.Defaults(ctx, req.Image, o.Platform)
	if err != nil {
		return "", nil, err
	}
	defer drop()
	rec, err := prepared.Finish(image, o.Name)
	if err != nil {
		return "", nil, err
	}
	if err := e.registerLinks(rec); err != nil {
		return "", nil, err
	}
	if err := e.networks.Check(rec); err != nil {
		return "", nil, err
	}
	if mode := rec.HostConfig.NetworkMode; networked(rec) && !mode.IsHost() && !mode.IsNone() {
		e.fabric.Prepare()
	}
	release, err := e.reserveName(rec)
	if err != nil {
		return "", nil, err
	}
	defer release()
	if err := os.MkdirAll(e.dir(rec.ID), 0o700); err != nil {
		return "", nil, fmt.Errorf("make directory of container: %w", err)
	}
	c := newContainer(rec)
	err = e.store.Update(func(tx *store.Tx) error {
		for i, m := range rec.Mounts {
			if m.Type != mount.TypeVolume {
				continue
			}
			labels := m.Labels
			if m.Anonymous {
				labels = map[string]string{volume.AnonymousLabel: ""}
				for k, v := range m.Labels {
					labels[k] = v
				}
			}
			v, err := e.volumes.Acquire(tx, rec.ID, volume.Request{Name: m.Name, Driver: m.Driver, Options: m.DriverOptions, Labels: labels})
			if err != nil {
				return err
			}
			rec.Mounts[i].Name, rec.Mounts[i].Driver, rec.Mounts[i].Source = v.Name, volume.Driver, e.volumes.Mountpoint(v)
		}
		return bucket.Put(tx, rec.ID, rec)
	})
	if err != nil {
		_ = os.RemoveAll(e.dir(rec.ID)) // The next engine sweeps it if it stays.
		return "", nil, err
	}
	e.mu.Lock()
	e.addLocked(c)
	e.mu.Unlock()
	e.publish(events.ActionCreate, rec, nil)
	return rec.ID, prepared.Warnings(), nil
}

// environment is what the normal form needs to know of the world.
func (e *Engine) environment(ctx context.Context) normal.Environment {
	env := e.env
	env.Features = e.sandboxes.Info().Features
	env.Container = func(name string) (*record.Container, error) {
		c, err := e.Get(name)
		if err != nil {
			return nil, err
		}
		return c.Record(), nil
	}
	env.BindSource = func(path string) (bool, error) {
		kind, err := e.sandboxes.Client().CheckBind(ctx, path)
		return kind != vmhelperv1.CheckBindResponse_ABSENT, err
	}
	env.NewID = newID
	env.Now = time.Now().UTC()
	return env
}

// reserveName takes the record's name, or makes one up, until the container is registered or the creation fails.
func (e *Engine) reserveName(rec *record.Container) (release func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if rec.Name == "" {
		rec.Name = e.randomNameLocked()
	}
	if id, taken := e.names[rec.Name]; taken {
		return nil, nameConflict(rec.Name, id)
	}
	e.names[rec.Name] = rec.ID
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if _, ok := e.byID[rec.ID]; !ok {
			delete(e.names, rec.Name)
		}
	}, nil
}

func nameConflict(name, id string) error {
	return conflict("Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, id)
}

func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // Never fails: crypto/rand.Read ends the program instead.
	return hex.EncodeToString(b[:])
}
