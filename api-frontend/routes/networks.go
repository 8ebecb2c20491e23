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
	Create(ctx context.Context, req *network.CreateRequest) (id string, err error)
	Remove(ctx context.Context, ref string) error
	Connect(ctx context.Context, ref, container string, settings *network.EndpointSettings) error
	Disconnect(ctx context.Context, ref, container string, force bool) error
	Prune(ctx context.Context, f filter.Filter) (network.PruneReport, error)
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

// createBody is a request whose addresses are read apart: dockerd has sentences for those that are none.
type createBody struct {
	network.CreateRequest
	IPAM *networks.IPAMText
}

func (n networkRoutes) create(ctx context.Context, r *server.Request) (server.Response, error) {
	var body createBody
	if err := r.JSON(&body); err != nil {
		return server.Response{}, err
	}
	req := &body.CreateRequest
	if r.VersionLess("1.48") {
		req.EnableIPv4 = nil
	}
	var err error
	if req.IPAM, err = networks.ParseIPAM(body.IPAM); err != nil {
		return server.Response{}, err
	}
	id, err := n.networks.Create(ctx, req)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusCreated, network.CreateResponse{ID: id}), nil
}

func (n networkRoutes) remove(ctx context.Context, r *server.Request) (server.Response, error) {
	return server.NoContent(), n.networks.Remove(ctx, r.Var("id"))
}

func (n networkRoutes) connect(ctx context.Context, r *server.Request) (server.Response, error) {
	var req network.ConnectRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	return server.Status(http.StatusOK), n.networks.Connect(ctx, r.Var("id"), req.Container, req.EndpointConfig)
}

func (n networkRoutes) disconnect(ctx context.Context, r *server.Request) (server.Response, error) {
	var req network.DisconnectRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	return server.Status(http.StatusOK), n.networks.Disconnect(ctx, r.Var("id"), req.Container, req.Force)
}

func (n networkRoutes) prune(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	report, err := n.networks.Prune(ctx, f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, report), nil
}
