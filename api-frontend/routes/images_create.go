package routes

import (
	"context"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	engine "github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/image/progress"
	"github.com/arca-engine/arca/api-frontend/server"
)

// create pulls an image, or imports one from a stream.
func (i imageRoutes) create(ctx context.Context, r *server.Request) (server.Response, error) {
	if r.Get("fromImage") == "" {
		return i.importImage(ctx, r)
	}
	p, err := platformOf(r, "1.32")
	if err != nil {
		return server.Response{}, err
	}
	// "docker pull -a" may send a name that ends with a colon.
	name := strings.TrimSuffix(r.Get("fromImage"), ":")
	ref, err := withTagOrDigest(name, r.Get("tag"))
	if err != nil {
		return server.Response{}, err
	}
	if reference.FamiliarName(ref) == "scratch" {
		return server.Response{}, refusal{"'scratch' is a reserved name", errdefs.ErrPermissionDenied}
	}
	opt := engine.PullOptions{Ref: ref, All: reference.IsNameOnly(ref), Platform: p, Auth: authOf(r)}
	return progressStream(func(ctx context.Context, out *progress.Stream) error { return i.images.Pull(ctx, opt, out) }), nil
}

func (i imageRoutes) importImage(_ context.Context, r *server.Request) (server.Response, error) {
	src := r.Get("fromSrc")
	if src != "-" {
		return server.Response{}, refusal{"importing from a URL is not supported: download the archive and import it with 'docker import FILE'", errdefs.ErrNotImplemented}
	}
	p, err := platformOf(r, "1.32")
	if err != nil {
		return server.Response{}, err
	}
	ref, err := repoTag(r.Get("repo"), r.Get("tag"))
	if err != nil {
		return server.Response{}, err
	}
	message := r.Get("message")
	if message == "" {
		message = "Imported from " + src
	}
	opt := engine.ImportOptions{Ref: ref, Platform: p, Message: message, Changes: r.Query()["changes"]}
	return progressStream(func(ctx context.Context, out *progress.Stream) error {
		id, err := i.images.Import(ctx, opt, r.Body())
		if err == nil {
			out.Message("", id)
		}
		return err
	}), nil
}

func (i imageRoutes) push(_ context.Context, r *server.Request) (server.Response, error) {
	p, err := platformOf(r, "1.46")
	if err != nil {
		return server.Response{}, err
	}
	ref, err := reference.ParseNormalizedNamed(r.Var("name"))
	if err != nil {
		return server.Response{}, badReference(err)
	}
	if tag := r.Get("tag"); tag != "" {
		if ref, err = repoTag(r.Var("name"), tag); err != nil {
			return server.Response{}, err
		}
	}
	opt := engine.PushOptions{Ref: ref, All: r.Get("tag") == "" && reference.IsNameOnly(ref), Platform: p, Auth: authOf(r)}
	return progressStream(func(ctx context.Context, out *progress.Stream) error { return i.images.Push(ctx, opt, out) }), nil
}

// progressStream answers with lines of progress.
func progressStream(work func(context.Context, *progress.Stream) error) server.Response {
	return server.StreamLazy(http.StatusOK, "application/json", func(ctx context.Context, w server.FlushWriter) error {
		return progress.Serve(ctx, w, work)
	})
}
