package routes

import (
	"context"
	"net/http"

	engine "github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/server"
)

// save streams images as an archive.
func (i imageRoutes) save(ctx context.Context, r *server.Request) (server.Response, error) {
	p, err := platformOf(r, "1.48")
	if err != nil {
		return server.Response{}, err
	}
	refs := r.Query()["names"]
	if name := r.Var("name"); name != "" {
		refs = []string{name}
	}
	archive, err := i.images.Save(ctx, refs, p)
	if err != nil {
		return server.Response{}, err
	}
	return server.StreamLazy(http.StatusOK, "application/x-tar", func(ctx context.Context, w server.FlushWriter) error {
		return archive.Write(ctx, w)
	}), nil
}

// load reads an archive of images.
func (i imageRoutes) load(_ context.Context, r *server.Request) (server.Response, error) {
	p, err := platformOf(r, "1.48")
	if err != nil {
		return server.Response{}, err
	}
	opt := engine.LoadOptions{Quiet: r.BoolOr("quiet", true), Platform: p}
	return progressStream(func(ctx context.Context, out *progress.Stream) error { return i.images.Load(ctx, r.Body(), opt, out) }), nil
}
