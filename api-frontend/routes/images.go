package routes

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/arca-engine/arca/api-frontend/filter"
	engine "github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Images is what the image routes need.
type Images interface {
	Pull(ctx context.Context, o engine.PullOptions, out *progress.Stream) error
	Push(ctx context.Context, o engine.PushOptions, out *progress.Stream) error
	Import(ctx context.Context, o engine.ImportOptions, r io.Reader) (id string, err error)
	List(ctx context.Context, o engine.ListOptions) ([]image.Summary, error)
	Inspect(ctx context.Context, ref string, p *ocispec.Platform) (image.InspectResponse, *engine.Image, error)
	History(ctx context.Context, ref string, p *ocispec.Platform) ([]image.HistoryResponseItem, error)
	Tag(ctx context.Context, source string, target reference.Named) error
	Remove(ctx context.Context, ref string, o engine.RemoveOptions) ([]image.DeleteResponse, error)
	Prune(ctx context.Context, f filter.Filter) (engine.PruneReport, error)
	Save(ctx context.Context, refs []string, p *ocispec.Platform) (*engine.Archive, error)
	Load(ctx context.Context, r io.Reader, o engine.LoadOptions, out *progress.Stream) error
}

var _ Images = (*engine.Service)(nil)

// ImageRoutes are the routes of images.
func ImageRoutes(x Images) []server.Route {
	i := imageRoutes{x}
	return []server.Route{
		{Method: http.MethodPost, Path: "/images/create", Handler: i.create, StreamBody: true},
		{Method: http.MethodGet, Path: "/images/get", Handler: i.save},
		{Method: http.MethodGet, Path: "/images/json", Handler: i.list},
		{Method: http.MethodPost, Path: "/images/load", Handler: i.load, StreamBody: true},
		{Method: http.MethodPost, Path: "/images/prune", MinVersion: "1.25", Handler: i.prune},
		{Method: http.MethodGet, Path: "/images/search", Handler: i.search},
		{Method: http.MethodDelete, Path: "/images/{name:*}", Handler: i.remove},
		{Method: http.MethodGet, Path: "/images/{name:*}/get", Handler: i.save},
		{Method: http.MethodGet, Path: "/images/{name:*}/history", Handler: i.history},
		{Method: http.MethodGet, Path: "/images/{name:*}/json", Handler: i.inspect},
		{Method: http.MethodPost, Path: "/images/{name:*}/push", Handler: i.push},
		{Method: http.MethodPost, Path: "/images/{name:*}/tag", Handler: i.tag},
	}
}

type imageRoutes struct{ images Images }

func (i imageRoutes) search(context.Context, *server.Request) (server.Response, error) {
	return server.Response{}, refusal{"searching a registry is not supported: look for images on the registry's own web page", errdefs.ErrNotImplemented}
}

func (i imageRoutes) tag(ctx context.Context, r *server.Request) (server.Response, error) {
	target, err := repoTag(r.Get("repo"), r.Get("tag"))
	if err != nil {
		return server.Response{}, err
	}
	if target == nil {
		return server.Response{}, badReference(nil)
	}
	if err := i.images.Tag(ctx, r.Var("name"), target); err != nil {
		return server.Response{}, err
	}
	return server.Status(http.StatusCreated), nil
}

func (i imageRoutes) remove(ctx context.Context, r *server.Request) (server.Response, error) {
	if strings.TrimSpace(r.Var("name")) == "" {
		return server.Response{}, refusal{"image name cannot be blank", errdefs.ErrInvalidArgument}
	}
	rows, err := i.images.Remove(ctx, r.Var("name"), engine.RemoveOptions{Force: r.Bool("force"), KeepParents: r.Bool("noprune")})
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, rows), nil
}

func (i imageRoutes) prune(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	rep, err := i.images.Prune(ctx, f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, rep), nil
}

func (i imageRoutes) history(ctx context.Context, r *server.Request) (server.Response, error) {
	p, err := platformOf(r, "1.48")
	if err != nil {
		return server.Response{}, err
	}
	rows, err := i.images.History(ctx, r.Var("name"), p)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, rows), nil
}
