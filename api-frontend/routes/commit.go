package routes

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/commit"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Commits is what the route of docker commit needs.
type Commits interface {
	Commit(ctx context.Context, ref string, o commit.Options) (id string, err error)
}

var _ Commits = (*commit.Service)(nil)

// CommitRoutes are the routes of docker commit.
func CommitRoutes(x Commits) []server.Route {
	return []server.Route{{Method: http.MethodPost, Path: "/commit", Handler: commitRoutes{x}.commit}}
}

type commitRoutes struct{ commits Commits }

func (c commitRoutes) commit(ctx context.Context, r *server.Request) (server.Response, error) {
	ref, err := repoTag(r.Get("repo"), r.Get("tag"))
	if err != nil {
		return server.Response{}, err
	}
	o := commit.Options{
		Ref: ref, Author: r.Get("author"), Comment: r.Get("comment"), Changes: r.Query()["changes"],
		Pause: r.Get("pause") == "" || r.Bool("pause"),
	}
	// The body may be absent, or null: then the container's own configuration counts.
	if err := json.NewDecoder(r.Body()).Decode(&o.Config); err != nil && !errors.Is(err, io.EOF) {
		return server.Response{}, refusal{"invalid JSON: " + err.Error(), errdefs.ErrInvalidArgument}
	}
	id, err := c.commits.Commit(ctx, r.Get("container"), o)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusCreated, container.CommitResponse{ID: id}), nil
}
