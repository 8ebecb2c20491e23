package routes

import (
	"context"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/registry"

	engine "github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Distribution is what the distribution route needs.
type Distribution interface {
	Distribution(ctx context.Context, ref reference.Named, auth registry.AuthConfig) (registry.DistributionInspect, error)
}

var _ Distribution = (*engine.Service)(nil)

// DistributionRoutes are the routes that ask a registry.
func DistributionRoutes(x Distribution) []server.Route {
	return []server.Route{{
		Method: http.MethodGet, Path: "/distribution/{name:*}/json", MinVersion: "1.30",
		Handler: func(ctx context.Context, r *server.Request) (server.Response, error) {
			ref, err := reference.ParseAnyReference(r.Var("name"))
			if err != nil {
				return server.Response{}, badReference(err)
			}
			named, ok := ref.(reference.Named)
			if !ok {
				return server.Response{}, refusal{"unknown image reference format: " + r.Var("name"), errdefs.ErrInvalidArgument}
			}
			out, err := x.Distribution(ctx, named, authOf(r))
			if err != nil {
				return server.Response{}, err
			}
			return server.JSON(http.StatusOK, out), nil
		},
	}}
}
