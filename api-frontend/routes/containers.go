package routes

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	engine "github.com/arca-engine/arca/api-frontend/container"
	"github.com/arca-engine/arca/api-frontend/container/normal"
	"github.com/arca-engine/arca/api-frontend/container/view"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Containers is what the routes of the life of containers need.
type Containers interface {
	Create(ctx context.Context, req *normal.Request, o engine.CreateOptions) (id string, warnings []string, err error)
	Start(ctx context.Context, ref string) error
	Stop(ctx context.Context, ref string, o engine.StopOptions) error
	Restart(ctx context.Context, ref string, o engine.StopOptions) error
	Kill(ctx context.Context, ref, signal string) error
	Remove(ctx context.Context, ref string, o engine.RemoveOptions) error
	Wait(ref string, condition container.WaitCondition) (*engine.Waiting, error)
	Attach(ref string, o engine.AttachOptions) (*engine.Attachment, error)
	List(ctx context.Context, o engine.ListOptions) (json.RawMessage, error)
	Inspect(ctx context.Context, ref string, size bool) (*view.Inspect, error)
}

var _ Containers = (*engine.Engine)(nil)

// ContainerRoutes are the routes of the life of containers.
func ContainerRoutes(x Containers) []server.Route {
	c := containerRoutes{x}
	return []server.Route{
		{Method: http.MethodGet, Path: "/containers/json", Handler: c.list},
		{Method: http.MethodGet, Path: "/containers/{name}/attach/ws", Handler: c.attachWebsocket},
		{Method: http.MethodGet, Path: "/containers/{name}/json", Handler: c.inspect},
		{Method: http.MethodPost, Path: "/containers/create", Handler: c.create},
		{Method: http.MethodPost, Path: "/containers/{name}/attach", Handler: c.attach},
		{Method: http.MethodPost, Path: "/containers/{name}/kill", Handler: c.kill},
		{Method: http.MethodPost, Path: "/containers/{name}/restart", Handler: c.restart},
		{Method: http.MethodPost, Path: "/containers/{name}/start", Handler: c.start},
		{Method: http.MethodPost, Path: "/containers/{name}/stop", Handler: c.stop},
		{Method: http.MethodPost, Path: "/containers/{name}/wait", Handler: c.wait},
		{Method: http.MethodDelete, Path: "/containers/{name}", Handler: c.remove},
	}
}

type containerRoutes struct{ engine Containers }

func (c containerRoutes) create(ctx context.Context, r *server.Request) (server.Response, error) {
	var req normal.Request
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	id, warnings, err := c.engine.Create(ctx, &req, engine.CreateOptions{
		Name: r.Get("name"), Platform: r.Get("platform"), Version: r.Version(),
	})
	if err != nil {
		return server.Response{}, err
	}
	if warnings == nil {
		warnings = []string{}
	}
	return server.JSON(http.StatusCreated, container.CreateResponse{ID: id, Warnings: warnings}), nil
}

func (c containerRoutes) start(ctx context.Context, r *server.Request) (server.Response, error) {
	if r.ContentLength() > 2 {
		// A body was deprecated in API 1.22 and is refused since 1.24, as dockerd does.
		return server.Response{}, refuse("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
	}
	if r.Get("checkpoint") != "" {
		return server.Response{}, refuse("checkpoints are not supported: start the container without one")
	}
	if err := c.engine.Start(ctx, r.Var("name")); err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

func stopOptions(r *server.Request) (o engine.StopOptions, err error) {
	if !r.VersionLess("1.42") {
		o.Signal = r.Get("signal")
	}
	if t := r.Get("t"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil {
			return o, refuse("invalid value for parameter t: " + err.Error())
		}
		o.Timeout = &n
	}
	return o, nil
}

func (c containerRoutes) stop(ctx context.Context, r *server.Request) (server.Response, error) {
	o, err := stopOptions(r)
	if err != nil {
		return server.Response{}, err
	}
	if err := c.engine.Stop(ctx, r.Var("name"), o); err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

func (c containerRoutes) restart(ctx context.Context, r *server.Request) (server.Response, error) {
	o, err := stopOptions(r)
	if err != nil {
		return server.Response{}, err
	}
	if err := c.engine.Restart(ctx, r.Var("name"), o); err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

func (c containerRoutes) kill(ctx context.Context, r *server.Request) (server.Response, error) {
	if err := c.engine.Kill(ctx, r.Var("name"), r.Get("signal")); err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

func (c containerRoutes) remove(ctx context.Context, r *server.Request) (server.Response, error) {
	err := c.engine.Remove(ctx, r.Var("name"), engine.RemoveOptions{Force: r.Bool("force"), Volumes: r.Bool("v"), Link: r.Bool("link")})
	if err != nil {
		return server.Response{}, err
	}
	return server.NoContent(), nil
}

// wait answers with its headers as soon as the wait is in place: `docker run` starts the container only then.
func (c containerRoutes) wait(_ context.Context, r *server.Request) (server.Response, error) {
	condition := container.WaitCondition("")
	if !r.VersionLess("1.30") {
		condition = container.WaitCondition(r.Get("condition"))
	}
	wait, err := c.engine.Wait(r.Var("name"), condition)
	if err != nil {
		return server.Response{}, err
	}
	return server.Stream(http.StatusOK, "application/json", func(ctx context.Context, w server.FlushWriter) error {
		status, err := wait.Result(ctx)
		if err != nil {
			return err
		}
		answer := container.WaitResponse{StatusCode: int64(status.Code)}
		if status.Error != "" {
			answer.Error = &container.WaitExitError{Message: status.Error}
		}
		b, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		_, err = w.Write(append(b, '\n'))
		return err
	}).OnEnd(wait.Close), nil
}

func (c containerRoutes) attach(_ context.Context, r *server.Request) (server.Response, error) {
	a, err := c.engine.Attach(r.Var("name"), engine.AttachOptions{
		Stdin: r.Bool("stdin"), Stdout: r.Bool("stdout"), Stderr: r.Bool("stderr"),
		Stream: r.Bool("stream"), Logs: r.Bool("logs"), DetachKeys: r.Get("detachKeys"),
	})
	if err != nil {
		return server.Response{}, err
	}
	media := server.MediaRaw
	if !a.TTY && !r.VersionLess("1.42") {
		media = server.MediaMultiplexed
	}
	return server.Hijack(media, func(ctx context.Context, conn *server.HijackConn) error {
		return a.Run(ctx, conn)
	}).OnEnd(a.Close), nil
}

func (c containerRoutes) attachWebsocket(context.Context, *server.Request) (server.Response, error) {
	return server.Response{}, refuse("attaching over a websocket is not supported: use POST /containers/{name}/attach")
}

func (c containerRoutes) list(ctx context.Context, r *server.Request) (server.Response, error) {
	limit := 0
	if s := r.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return server.Response{}, refuse("invalid value for parameter limit: " + err.Error())
		}
		limit = n
	}
	list, err := c.engine.List(ctx, engine.ListOptions{
		All: r.Bool("all"), Size: r.Bool("size"), Limit: limit, Filters: r.Get("filters"), Annotations: !r.VersionLess("1.46"),
	})
	if err != nil {
		return server.Response{}, err
	}
	return server.Bytes(http.StatusOK, "application/json", append(list, '\n')), nil
}

func (c containerRoutes) inspect(ctx context.Context, r *server.Request) (server.Response, error) {
	v, err := c.engine.Inspect(ctx, r.Var("name"), r.Bool("size"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, v), nil
}

// refuse is a bad request in one sentence.
func refuse(text string) error { return refusal{text, errdefs.ErrInvalidArgument} }
