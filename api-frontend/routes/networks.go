package routes

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/filter"
	networks "github.com/arca-engine/arca/api-frontend/network"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Networks is what the network routes need.
type Networks interface {
	List(f filter.Filter) ([]network.Inspect, error)
	Inspect(ref string) (network.Inspect, error)
	Create(req *network.CreateRequest) error
	Remove(ref string) error
	Attach(ref, container string) error
	Prune(f filter.Filter) (network.PruneReport, error)
}

var _ Networks = (*networks.Service)(nil)

// NetworkRoutes are the routes of networks.
func NetworkRoutes(x Networks) []server.Route {
	n := networkRoutes{x}
	return []server.Route{
		{Method: http.MethodGet, Path: "/networks", Handler: n.list},
		{Method: http.MethodGet, Path: "/networks/{id}", Handler: n.inspect},
		{Method: http.MethodDelete, Path: "/networks/{id}", Handler: n.remove},
		{Method: http.MethodPost, Path: "/networks/create", Handler: n.create},
		{Method: http.MethodPost, Path: "/networks/prune", MinVersion: "1.25", Handler: n.prune},
		{Method: http.MethodPost, Path: "/networks/{id}/connect", Handler: n.connect},
		{Method: http.MethodPost, Path: "/networks/{id}/disconnect", Handler: n.disconnect},
	}
}

type networkRoutes struct{ networks Networks }

func (n networkRoutes) list(_ context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	list, err := n.networks.List(f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, list), nil
}

func (n networkRoutes) inspect(_ context.Context, r *server.Request) (server.Response, error) {
	if v := r.Get("verbose"); v != "" {
		if _, err := strconv.ParseBool(v); err != nil {
			return server.Response{}, errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("invalid value for verbose: %s: %v", v, err))
		}
	}
	found, err := n.networks.Inspect(r.Var("id"))
	if scope := r.Get("scope"); err == nil && scope != "" && scope != found.Scope {
		err = errdefs.ErrNotFound.WithMessage(fmt.Sprintf("network %s not found", r.Var("id")))
	}
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, found), nil
}

func (n networkRoutes) create(_ context.Context, r *server.Request) (server.Response, error) {
	var req network.CreateRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	return server.Response{}, n.networks.Create(&req)
}

func (n networkRoutes) remove(_ context.Context, r *server.Request) (server.Response, error) {
	return server.Response{}, n.networks.Remove(r.Var("id"))
}

func (n networkRoutes) connect(_ context.Context, r *server.Request) (server.Response, error) {
	var req network.ConnectRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	return server.Response{}, n.networks.Attach(r.Var("id"), req.Container)
}

func (n networkRoutes) disconnect(_ context.Context, r *server.Request) (server.Response, error) {
	var req network.DisconnectRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	return server.Response{}, n.networks.Attach(r.Var("id"), req.Container)
}

func (n networkRoutes) prune(_ context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	report, err := n.networks.Prune(f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, report), nil
}
