package routes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"

	"github.com/arca-engine/arca/api-frontend/filter"
	engine "github.com/arca-engine/arca/api-frontend/image"
	"github.com/arca-engine/arca/api-frontend/server"
)

// storageDriver is what inspect names as the driver of an image's layers.
const storageDriver = "overlay2"

func (i imageRoutes) list(ctx context.Context, r *server.Request) (server.Response, error) {
	f, err := filter.Parse(r.Get("filters"))
	if err != nil {
		return server.Response{}, err
	}
	if name := r.Get("filter"); name != "" && r.VersionLess("1.25") && !f.Contains("reference") {
		f = withReference(f, name)
	}
	rows, err := i.images.List(ctx, engine.ListOptions{
		All: r.Bool("all"), Filters: f,
		SharedSize: !r.VersionLess("1.42") && r.Bool("shared-size"),
		Containers: !r.VersionLess("1.51"),
	})
	if err != nil {
		return server.Response{}, err
	}
	if !r.VersionLess("1.44") {
		return server.JSON(http.StatusOK, rows), nil
	}
	type virtual struct {
		image.Summary

		VirtualSize int64
	}
	old := make([]virtual, len(rows))
	for n, row := range rows {
		if r.VersionLess("1.43") && len(row.RepoTags)+len(row.RepoDigests) == 0 {
			row.RepoTags, row.RepoDigests = []string{"<none>:<none>"}, []string{"<none>@<none>"}
		}
		old[n] = virtual{row, row.Size}
	}
	return server.JSON(http.StatusOK, old), nil
}

func (i imageRoutes) inspect(ctx context.Context, r *server.Request) (server.Response, error) {
	p, err := platformOf(r, "1.49")
	if err != nil {
		return server.Response{}, err
	}
	if p != nil && !r.VersionLess("1.48") && r.Bool("manifests") {
		return server.Response{}, refusal{"conflicting options: manifests and platform options cannot both be set", errdefs.ErrInvalidArgument}
	}
	resp, img, err := i.images.Inspect(ctx, r.Var("name"), p)
	if err != nil {
		return server.Response{}, err
	}
	extra := map[string]any{
		"Parent": img.Parent, "Comment": img.Comment, "DockerVersion": img.DockerVersion, "Author": img.Author,
		"GraphDriver": map[string]any{"Name": storageDriver, "Data": nil},
	}
	if r.VersionLess("1.45") {
		extra["Container"], extra["ContainerConfig"] = "", nil
	}
	if r.VersionLess("1.44") {
		extra["VirtualSize"] = resp.Size
		if resp.Created == "" {
			extra["Created"] = time.Time{}.Format(time.RFC3339Nano)
		}
	}
	out, err := withFields(resp, extra)
	if err != nil {
		return server.Response{}, err
	}
	config, err := withDefaults(resp.Config, legacyConfig(r.VersionLess("1.50")))
	if err != nil {
		return server.Response{}, err
	}
	out["Config"] = config
	return server.JSON(http.StatusOK, out), nil
}

// withReference adds the parameter that the oldest clients send instead of a filter.
func withReference(f filter.Filter, name string) filter.Filter {
	pairs := []string{"reference", name}
	for _, key := range f.Keys() {
		for _, value := range f.Get(key) {
			pairs = append(pairs, key, value)
		}
	}
	return filter.Of(pairs...)
}

// legacyConfig are the fields of an image's configuration that older versions of the API show even when they are empty.
func legacyConfig(container bool) map[string]any {
	m := map[string]any{
		"Cmd": nil, "Entrypoint": nil, "Env": nil, "Labels": nil, "OnBuild": nil, "User": "", "Volumes": nil, "WorkingDir": "",
	}
	if container {
		maps.Copy(m, map[string]any{
			"AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Domainname": "", "Hostname": "", "Image": "",
			"OpenStdin": false, "StdinOnce": false, "Tty": false,
		})
	}
	return m
}

// withFields is v as an object, with more fields.
func withFields(v any, extra map[string]any) (map[string]any, error) {
	out, err := object(v)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, extra)
	return out, nil
}

// withDefaults is v as an object, with fields that it does not have itself.
func withDefaults(v any, defaults map[string]any) (map[string]any, error) {
	out, err := object(v)
	if err != nil {
		return nil, err
	}
	for k, d := range defaults {
		if _, ok := out[k]; !ok {
			out[k] = d
		}
	}
	return out, nil
}

func object(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	out := make(map[string]any, len(fields))
	for k, f := range fields {
		out[k] = f
	}
	return out, nil
}
