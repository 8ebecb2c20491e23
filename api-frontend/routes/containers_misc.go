package routes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server"
)

// Processes lists the processes of containers and resizes their terminals.
type Processes interface {
	Top(ctx context.Context, ref, psArgs string) (container.TopResponse, error)
	Resize(ctx context.Context, ref string, height, width uint32) error
}

// Changer tells what a container changed in its file system.
type Changer interface {
	Changes(ctx context.Context, ref string) ([]container.FilesystemChange, error)
}

// Updater changes containers that exist.
type Updater interface {
	// Update changes limits and restart policy, as a client of this version of the API means it.
	Update(ctx context.Context, ref string, u *container.UpdateConfig, version string) (container.UpdateResponse, error)
	Rename(ctx context.Context, ref, name string) error
	Pause(ctx context.Context, ref string) error
	Unpause(ctx context.Context, ref string) error
	Prune(ctx context.Context, f filter.Filter) (container.PruneReport, error)
}

// Sampler measures containers.
type Sampler interface {
	// Stats measures a container once. Of one that does not run it gives name and ID alone; errdefs.ErrNotFound
	// says that there is none.
	Stats(ctx context.Context, ref string) (sample container.StatsResponse, running bool, err error)
}

// ContainerMisc is what these routes need.
type ContainerMisc interface {
	Processes
	Changer
	Updater
	Sampler
}

// ContainerMiscRoutes are the routes that look into containers and change them.
func ContainerMiscRoutes(x ContainerMisc) []server.Route {
	c := containerMisc{x}
	return []server.Route{
		{Method: http.MethodGet, Path: "/containers/{id}/changes", Handler: c.changes},
		{Method: http.MethodGet, Path: "/containers/{id}/stats", Handler: c.stats},
		{Method: http.MethodGet, Path: "/containers/{id}/top", Handler: c.top},
		{Method: http.MethodPost, Path: "/containers/prune", MinVersion: "1.25", Handler: c.prune},
		{Method: http.MethodPost, Path: "/containers/{id}/pause", Handler: c.pause},
		{Method: http.MethodPost, Path: "/containers/{id}/rename", Handler: c.rename},
		{Method: http.MethodPost, Path: "/containers/{id}/resize", Handler: c.resize},
		{Method: http.MethodPost, Path: "/containers/{id}/unpause", Handler: c.unpause},
		{Method: http.MethodPost, Path: "/containers/{id}/update", Handler: c.update},
	}
}

type containerMisc struct{ containers ContainerMisc }

func (c containerMisc) changes(ctx context.Context, r *server.Request) (server.Response, error) {
	changes, err := c.containers.Changes(ctx, r.Var("id"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, changes), nil
}

func (c containerMisc) top(ctx context.Context, r *server.Request) (server.Response, error) {
	top, err := c.containers.Top(ctx, r.Var("id"), r.Get("ps_args"))
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, top), nil
}

func (c containerMisc) pause(ctx context.Context, r *server.Request) (server.Response, error) {
	return server.NoContent(), c.containers.Pause(ctx, r.Var("id"))
}

func (c containerMisc) unpause(ctx context.Context, r *server.Request) (server.Response, error) {
	return server.NoContent(), c.containers.Unpause(ctx, r.Var("id"))
}

func (c containerMisc) rename(ctx context.Context, r *server.Request) (server.Response, error) {
	name := r.Get("name")
	if name == "" {
		return server.Response{}, refusal{"Neither old nor new names may be empty", errdefs.ErrInvalidArgument}
	}
	return server.NoContent(), c.containers.Rename(ctx, r.Var("id"), name)
}

func (c containerMisc) prune(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	report, err := c.containers.Prune(ctx, f)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, report), nil
}

func (c containerMisc) update(ctx context.Context, r *server.Request) (server.Response, error) {
	var req struct {
		container.UpdateConfig
		KernelMemory int64 // Removed from the API in 1.42.
	}
	if err := r.JSON(&req); err != nil {
		return server.Response{}, err
	}
	resp, err := c.containers.Update(ctx, r.Var("id"), &req.UpdateConfig, r.Version())
	if err != nil {
		return server.Response{}, err
	}
	if req.KernelMemory != 0 && r.VersionLess("1.42") {
		resp.Warnings = append(resp.Warnings, "Your kernel does not support kernel memory limit capabilities or the cgroup is not mounted. Limitation discarded.")
	}
	return server.JSON(http.StatusOK, resp), nil
}

func (c containerMisc) resize(ctx context.Context, r *server.Request) (server.Response, error) {
	height, width, err := terminalSize(r)
	if err != nil {
		return server.Response{}, err
	}
	if err := c.containers.Resize(ctx, r.Var("id"), height, width); err != nil {
		return server.Response{}, err
	}
	return server.Status(http.StatusOK), nil
}

// terminalSize reads h and w.
func terminalSize(r *server.Request) (height, width uint32, err error) {
	if height, err = dimension(r.Get("h")); err != nil {
		return 0, 0, refusal{fmt.Sprintf("invalid resize height %q: %v", r.Get("h"), err), errdefs.ErrInvalidArgument}
	}
	if width, err = dimension(r.Get("w")); err != nil {
		return 0, 0, refusal{fmt.Sprintf("invalid resize width %q: %v", r.Get("w"), err), errdefs.ErrInvalidArgument}
	}
	return height, width, nil
}

func dimension(text string) (uint32, error) {
	digits, negative := strings.CutPrefix(text, "-")
	if digits == "" || digits[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, errors.Unwrap(err)
	}
	if negative {
		return 0, strconv.ErrRange
	}
	return uint32(n), nil
}

// statsEvery is the time between two samples, as in Docker.
const statsEvery = time.Second

func (c containerMisc) stats(ctx context.Context, r *server.Request) (server.Response, error) {
	stream := r.BoolOr("stream", true)
	oneShot := !r.VersionLess("1.41") && r.BoolOr("one-shot", false)
	if stream && oneShot {
		return server.Response{}, refusal{"cannot have stream=true and one-shot=true", errdefs.ErrInvalidArgument}
	}
	ref := r.Var("id")
	first, running, err := c.containers.Stats(ctx, ref)
	if err != nil {
		return server.Response{}, err
	}
	if !stream {
		if running && !oneShot {
			if first, err = c.second(ctx, ref, first); err != nil {
				return server.Response{}, err
			}
		}
		return server.JSON(http.StatusOK, first), nil
	}
	return server.Stream(http.StatusOK, "application/json", func(ctx context.Context, w server.FlushWriter) error {
		// By ID: a name may be given to another container.
		return c.follow(ctx, first, json.NewEncoder(w))
	}), nil
}

// second waits and measures again, so that the answer has two samples to compare.
func (c containerMisc) second(ctx context.Context, ref string, first container.StatsResponse) (container.StatsResponse, error) {
	t := time.NewTimer(statsEvery)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return first, context.Cause(ctx)
	case <-t.C:
	}
	next, _, err := c.containers.Stats(ctx, ref)
	if err != nil {
		return first, err
	}
	next.PreRead, next.PreCPUStats = first.Read, first.CPUStats
	return next, nil
}

// follow sends a sample each second until the client leaves or the container is removed.
func (c containerMisc) follow(ctx context.Context, sample container.StatsResponse, out *json.Encoder) error {
	t := time.NewTicker(statsEvery)
	defer t.Stop()
	for {
		if err := out.Encode(sample); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		next, _, err := c.containers.Stats(ctx, sample.ID)
		switch {
		case errdefs.IsNotFound(err), ctx.Err() != nil:
			return nil
		case err != nil:
			// As in Docker, a sample that could not be taken has name and ID alone.
			next = container.StatsResponse{ID: sample.ID, Name: sample.Name}
		}
		next.PreRead, next.PreCPUStats = sample.Read, sample.CPUStats
		sample = next
	}
}
