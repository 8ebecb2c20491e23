package routes

import (
	"context"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"

	"github.com/arca-engine/arca/api-frontend/server"
)

// What a Docker engine may have and this one has not, in Docker's words where it has words for it.
var (
	errNoManager = refusal{`This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.`, errdefs.ErrUnavailable}
	errNoSwarm   = refusal{"This node is not part of a swarm", errdefs.ErrUnavailable}
	errSwarm     = refusal{"swarm mode is not supported by this engine", errdefs.ErrNotImplemented}
	errPlugins   = refusal{"plugins are not supported by this engine", errdefs.ErrNotImplemented}
	errBuild     = refusal{"building images is not supported by this version of the engine", errdefs.ErrNotImplemented}
)

// AbsentRoutes answer for what this engine has not, so that clients that look for it are told so, or find nothing.
func AbsentRoutes() []server.Route {
	list := []server.Route{
		{Method: http.MethodGet, Path: "/plugins", Handler: noPlugins},
		{Method: http.MethodGet, Path: "/plugins/privileges", Handler: absent(errPlugins)},
		{Method: http.MethodGet, Path: "/plugins/{name:*}/json", Handler: noPlugin},
		{Method: http.MethodPost, Path: "/plugins/pull", Handler: absent(errPlugins)},
		{Method: http.MethodPost, Path: "/plugins/create", Handler: absent(errPlugins)},
		{Method: http.MethodPost, Path: "/plugins/{name:*}/enable", Handler: noPlugin},
		{Method: http.MethodPost, Path: "/plugins/{name:*}/disable", Handler: noPlugin},
		{Method: http.MethodDelete, Path: "/plugins/{name:*}", Handler: noPlugin},
		{Method: http.MethodPost, Path: "/build", Handler: absent(errBuild), StreamBody: true},
		{Method: http.MethodPost, Path: "/build/prune", MinVersion: "1.31", Handler: noBuildCache},
		{Method: http.MethodGet, Path: "/swarm", Handler: absent(errNoManager)},
		{Method: http.MethodGet, Path: "/swarm/unlockkey", Handler: absent(errNoManager)},
		{Method: http.MethodPost, Path: "/swarm/init", Handler: absent(errSwarm)},
		{Method: http.MethodPost, Path: "/swarm/join", Handler: absent(errSwarm)},
		{Method: http.MethodPost, Path: "/swarm/leave", Handler: absent(errNoSwarm)},
		{Method: http.MethodPost, Path: "/swarm/unlock", Handler: absent(errNoManager)},
		{Method: http.MethodPost, Path: "/swarm/update", Handler: absent(errNoManager)},
		{Method: http.MethodPost, Path: "/services/create", Handler: absent(errNoManager)},
		{Method: http.MethodPost, Path: "/secrets/create", Handler: absent(errNoManager)},
		{Method: http.MethodPost, Path: "/configs/create", Handler: absent(errNoManager)},
	}
	for _, noun := range []string{"/nodes", "/services", "/tasks", "/secrets", "/configs"} {
		list = append(list,
			server.Route{Method: http.MethodGet, Path: noun, Handler: absent(errNoManager)},
			server.Route{Method: http.MethodGet, Path: noun + "/{id}", Handler: absent(errNoManager)})
		switch noun {
		case "/tasks":
		default:
			list = append(list,
				server.Route{Method: http.MethodPost, Path: noun + "/{id}/update", Handler: absent(errNoManager)},
				server.Route{Method: http.MethodDelete, Path: noun + "/{id}", Handler: absent(errNoManager)})
		}
	}
	for _, noun := range []string{"/services", "/tasks"} {
		list = append(list, server.Route{Method: http.MethodGet, Path: noun + "/{id}/logs", Handler: absent(errNoManager)})
	}
	return list
}

func absent(err error) server.Handler {
	return func(context.Context, *server.Request) (server.Response, error) { return server.Response{}, err }
}

func noPlugins(context.Context, *server.Request) (server.Response, error) {
	return server.JSON(http.StatusOK, []struct{}{}), nil
}

func noPlugin(_ context.Context, r *server.Request) (server.Response, error) {
	return server.Response{}, errdefs.ErrNotFound.WithMessage(`plugin "` + r.Var("name") + `" not found`)
}

// noBuildCache prunes a cache that is not there.
func noBuildCache(context.Context, *server.Request) (server.Response, error) {
	return server.JSON(http.StatusOK, build.CachePruneReport{CachesDeleted: []string{}}), nil
}
