package routes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/archive"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Archives is what the archive routes need.
type Archives interface {
	StatPath(ctx context.Context, ref, path string) (container.PathStat, error)
	Get(ctx context.Context, ref, path string) (io.ReadCloser, container.PathStat, error)
	Export(ctx context.Context, ref string) (io.ReadCloser, error)
	Put(ctx context.Context, ref, path string, o archive.PutOptions, body io.Reader) error
}

var _ Archives = (*archive.Service)(nil)

// ArchiveRoutes are the routes of docker cp and docker export.
func ArchiveRoutes(x Archives) []server.Route {
	a := archiveRoutes{x}
	const path = "/containers/{id}/archive"
	return []server.Route{
		{Method: http.MethodGet, Path: path, Handler: a.get},
		{Method: http.MethodHead, Path: path, Handler: a.head},
		{Method: http.MethodGet, Path: "/containers/{id}/export", Handler: a.export},
		{Method: http.MethodPut, Path: path, Handler: a.put, StreamBody: true},
	}
}

type archiveRoutes struct{ archives Archives }

// statHeader carries the description of a path.
const statHeader = "X-Docker-Container-Path-Stat"

// maxRefused bounds what is read of an archive that was refused.
const maxRefused = 8 << 30

// archivePath reads the parameter that every archive route needs, in Docker's words.
func archivePath(r *server.Request) (string, error) {
	path := r.Get("path")
	if path == "" {
		return "", refusal{"bad parameter: pathcannot be empty", errdefs.ErrInvalidArgument}
	}
	return path, nil
}

func withStat(resp server.Response, stat container.PathStat) (server.Response, error) {
	b, err := json.Marshal(stat)
	if err != nil {
		return server.Response{}, fmt.Errorf("encode path stat: %w", err)
	}
	return resp.WithHeader(statHeader, base64.StdEncoding.EncodeToString(b)), nil
}

func (a archiveRoutes) head(ctx context.Context, r *server.Request) (server.Response, error) {
	path, err := archivePath(r)
	if err != nil {
		return server.Response{}, err
	}
	stat, err := a.archives.StatPath(ctx, r.Var("id"), path)
	if err != nil {
		return server.Response{}, err
	}
	return withStat(server.Status(http.StatusOK), stat)
}

func (a archiveRoutes) get(ctx context.Context, r *server.Request) (server.Response, error) {
	path, err := archivePath(r)
	if err != nil {
		return server.Response{}, err
	}
	tar, stat, err := a.archives.Get(ctx, r.Var("id"), path)
	if err != nil {
		return server.Response{}, err
	}
	resp := server.Stream(http.StatusOK, "application/x-tar", func(_ context.Context, w server.FlushWriter) error {
		return archive.Copy(w, tar)
	})
	return withStat(resp.OnEnd(func() { _ = tar.Close() }), stat) // Whatever it says, the answer has been given.
}

func (a archiveRoutes) export(ctx context.Context, r *server.Request) (server.Response, error) {
	tar, err := a.archives.Export(ctx, r.Var("id"))
	if err != nil {
		return server.Response{}, err
	}
	resp := server.Stream(http.StatusOK, "application/octet-stream", func(_ context.Context, w server.FlushWriter) error {
		return archive.Copy(w, tar)
	})
	return resp.OnEnd(func() { _ = tar.Close() }), nil // Whatever it says, the answer has been given.
}

func (a archiveRoutes) put(ctx context.Context, r *server.Request) (server.Response, error) {
	path, err := archivePath(r)
	if err != nil {
		return server.Response{}, err
	}
	o := archive.PutOptions{NoOverwriteDirNonDir: r.Bool("noOverwriteDirNonDir"), CopyUIDGID: r.Bool("copyUIDGID")}
	if err := a.archives.Put(ctx, r.Var("id"), path, o, r.Body()); err != nil {
		// A client that still sends would see its connection break and never read the sentence.
		_, _ = io.CopyN(io.Discard, r.Body(), maxRefused)
		return server.Response{}, err
	}
	return server.Status(http.StatusOK), nil
}
