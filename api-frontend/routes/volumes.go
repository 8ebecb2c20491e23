package routes

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server"
	volumes "github.com/arca-engine/arca/api-frontend/volume"
)

// Volumes is what the volume routes need.
type Volumes interface {
	Create(ctx context.Context, req volumes.Request) (volume.Volume, error)
	Get(ctx context.Context, name string) (volume.Volume, error)
	List(ctx context.Context, f filter.Filter) ([]volume.Volume, error)
	Remove(ctx context.Context, name string, force bool) error
	Prune(ctx context.Context, f filter.Filter, all bool) (volume.PruneReport, error)
}

var _ Volumes = (*volumes.Service)(nil)

// Docker's sentences for cluster volumes where there is no cluster.
var (
	errNoSwarmForVolume = errNoManager
	errNoVolumeUpdate   = refusal{"volume update only valid for cluster volumes, but swarm is unavailable", errdefs.ErrUnavailable}
)

// refusal is a sentence with its class.
type refusal struct {
	text  string
	class error
}

func (e refusal) Error() string { return e.text }
func (e refusal) Unwrap() error { return e.class }

// VolumeRoutes are the routes of volumes.
func VolumeRoutes(x Volumes) []server.Route {
	v := volumeRoutes{x}
	return []server.Route{
		{Method: http.MethodGet, Path: "/volumes", Handler: v.list},
		{Method: http.MethodPost, Path: "/volumes/create", Handler: v.create},
		{Method: http.MethodPost, Path: "/volumes/prune", MinVersion: "1.25", Handler: v.prune},
		{Method: http.MethodDelete, Path: "/volumes/{name}", Handler: v.remove},
		{Method: http.MethodGet, Path: "/volumes/{name}", Handler: v.inspect},
		{Method: http.MethodPut, Path: "/volumes/{name}", MinVersion: "1.42", Handler: v.update},
	}
}

type volumeRoutes struct{ volumes Volumes }

func (v volumeRoutes) list(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, fmt.Errorf("error reading volume filters: %w", err)
	}
	list, err := v.volumes.List(ctx, f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, volume.ListResponse{Volumes: list}), nil
}

func (v volumeRoutes) inspect(ctx context.Context, r *server.Request) (server.Response, error) {
	vol, err := v.volumes.Get(ctx, r.Var("name"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, vol), nil
}

func (v volumeRoutes) create(ctx context.Context, r *server.Request) (server.Response, error) {
	var req volume.CreateRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	if req.ClusterVolumeSpec != nil && !r.VersionLess("1.42") {
		return server.Response{}, errNoSwarmForVolume
	}
	vol, err := v.volumes.Create(ctx, volumes.Request{
		Name: req.Name, Driver: req.Driver, Options: req.DriverOpts, Labels: req.Labels,
	})
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusCreated, vol), nil
}

// update exists for cluster volumes alone, and there is no cluster.
func (volumeRoutes) update(context.Context, *server.Request) (server.Response, error) {
	return server.Response{}, errNoVolumeUpdate
}

func (v volumeRoutes) remove(ctx context.Context, r *server.Request) (server.Response, error) {
	if err := v.volumes.Remove(ctx, r.Var("name"), r.Bool("force")); err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

// prune takes all unused volumes before API 1.42 and anonymous ones since.
func (v volumeRoutes) prune(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	report, err := v.volumes.Prune(ctx, f, r.VersionLess("1.42"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, report), nil
}
