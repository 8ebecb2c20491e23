package routes

import (
	"context"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/exec"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Execs is what the exec routes need.
type Execs interface {
	Create(ctx context.Context, ref string, req container.ExecCreateRequest) (string, error)
	Inspect(ctx context.Context, id string) (container.ExecInspectResponse, error)
	Check(id string) error
	Start(ctx context.Context, id string, o exec.StartOptions) error
	Resize(ctx context.Context, id string, height, width uint32) error
}

var _ Execs = (*exec.Service)(nil)

// ExecRoutes are the routes of processes beside a container's first.
func ExecRoutes(x Execs) []server.Route {
	e := execRoutes{x}
	return []server.Route{
		{Method: http.MethodPost, Path: "/containers/{id}/exec", Handler: e.create},
		{Method: http.MethodGet, Path: "/exec/{id}/json", Handler: e.inspect},
		{Method: http.MethodPost, Path: "/exec/{id}/resize", Handler: e.resize},
		{Method: http.MethodPost, Path: "/exec/{id}/start", Handler: e.start},
	}
}

type execRoutes struct{ execs Execs }

var errNoExecCommand = refusal{"No exec command specified", errdefs.ErrInvalidArgument}

func (e execRoutes) create(ctx context.Context, r *server.Request) (server.Response, error) {
	var req container.ExecCreateRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	if len(req.Cmd) == 0 {
		return server.Response{}, errNoExecCommand
	}
	if r.VersionLess("1.42") {
		req.ConsoleSize = nil
	}
	id, err := e.execs.Create(ctx, r.Var("id"), req)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusCreated, container.ExecCreateResponse{ID: id}), nil
}

func (e execRoutes) inspect(ctx context.Context, r *server.Request) (server.Response, error) {
	x, err := e.execs.Inspect(ctx, r.Var("id"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, x), nil
}

func (e execRoutes) start(ctx context.Context, r *server.Request) (server.Response, error) {
	var req container.ExecStartRequest
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	id := r.Var("id")
	if err := e.execs.Check(id); err != nil {
		return server.Response{}, err
	}
	o := exec.StartOptions{ConsoleSize: req.ConsoleSize, Multiplex: !req.Tty}
	if r.VersionLess("1.42") || !req.Tty {
		o.ConsoleSize = nil
	}
	if req.Detach {
		if err := e.execs.Start(ctx, id, o); err != nil {
			return server.Response{}, err
		}
		return server.Status(http.StatusOK), nil
	}
	media := server.MediaRaw
	if !req.Tty && !r.VersionLess("1.42") {
		media = server.MediaMultiplexed
	}
	return server.Hijack(media, func(ctx context.Context, conn *server.HijackConn) error {
		o := o
		o.Client = conn
		err := e.execs.Start(ctx, id, o)
		if err != nil {
			// The status has been sent: as in dockerd, the sentence goes where the output would have gone.
			w := attach.Writer{W: conn, Multiplex: o.Multiplex}
			_ = w.Text(fmt.Sprintf("%v\r\n", err)) // A client that has left needs no sentence.
			_ = conn.CloseWrite()
		}
		return err
	}), nil
}

func (e execRoutes) resize(ctx context.Context, r *server.Request) (server.Response, error) {
	height, width, err := terminalSize(r)
	if err != nil {
		return server.Response{}, err
	}
	if err := e.execs.Resize(ctx, r.Var("id"), height, width); err != nil {
		return server.Response{}, err
	}
	return server.Status(http.StatusOK), nil
}
