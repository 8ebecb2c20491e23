package routes

import (
	"context"
	"net/http"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/api-frontend/system"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/registry"
	apisystem "github.com/moby/moby/api/types/system"
)

// System is what the routes of the engine itself need.
type System interface {
	Info(ctx context.Context) *apisystem.Info
	Version() apisystem.VersionResponse
	DiskUsage(ctx context.Context, o system.UsageOptions) (*system.DiskUsage, error)
	Authenticate(ctx context.Context, auth registry.AuthConfig) (token string, err error)
}

var _ System = (*system.Service)(nil)

// SystemRoutes are the routes of the engine itself.
func SystemRoutes(x System) []server.Route {
	s := systemRoutes{x}
	return []server.Route{
		{Method: http.MethodGet, Path: "/_ping", Handler: ping},
		{Method: http.MethodHead, Path: "/_ping", Handler: ping},
		{Method: http.MethodGet, Path: "/info", Handler: s.info},
		{Method: http.MethodGet, Path: "/system/df", MinVersion: "1.25", Handler: s.diskUsage},
		{Method: http.MethodGet, Path: "/version", Handler: s.version},
		{Method: http.MethodPost, Path: "/auth", Handler: s.auth},
	}
}

type systemRoutes struct{ System }

// ping answers without asking anybody.
//
// There is no Builder-Version: the header tells the CLI which builder to prefer, and there is none yet. "2" would promise
// /grpc and /session; "1" would make docker build upload its context to a /build that is not there. Without the header
// the CLI of a Linux engine uses buildx, whose container driver needs nothing of the engine's own builder.
func ping(_ context.Context, r *server.Request) (server.Response, error) {
	body := "OK"
	if r.Method() == http.MethodHead {
		body = ""
	}
	return pong(body), nil
}

func pong(body string) server.Response {
	return server.Text(http.StatusOK, body).
		WithHeader("Cache-Control", "no-cache, no-store, must-revalidate").
		WithHeader("Pragma", "no-cache").
		WithHeader("Swarm", "inactive")
}

func (s systemRoutes) version(context.Context, *server.Request) (server.Response, error) {
	return server.JSON(http.StatusOK, s.Version()), nil
}

func (s systemRoutes) info(ctx context.Context, r *server.Request) (server.Response, error) {
	return server.JSON(http.StatusOK, infoFor(r, s.Info(ctx))), nil
}

// infoFor gives info the form of the request's version, newest first.
func infoFor(r *server.Request, info *apisystem.Info) any {
	if r.VersionLess("1.50") {
		info.DiscoveredDevices = nil
	}
	if !r.VersionLess("1.50") {
		return info
	}
	out := &infoUntil149{Info: info}
	if r.VersionLess("1.49") {
		info.FirewallBackend = nil
		out.ContainerdCommit = &commitUntil148{Commit: info.ContainerdCommit, Expected: info.ContainerdCommit.ID}
		out.RuncCommit = &commitUntil148{Commit: info.RuncCommit, Expected: info.RuncCommit.ID}
		out.InitCommit = &commitUntil148{Commit: info.InitCommit, Expected: info.InitCommit.ID}
	} else {
		out.ContainerdCommit, out.RuncCommit, out.InitCommit = info.ContainerdCommit, info.RuncCommit, info.InitCommit
	}
	out.RegistryConfig = info.RegistryConfig
	if r.VersionLess("1.47") {
		out.RegistryConfig = &registryUntil146{ServiceConfig: info.RegistryConfig}
	}
	if r.VersionLess("1.46") {
		info.Containerd = nil
	}
	if r.VersionLess("1.44") {
		for name, runtime := range info.Runtimes {
			info.Runtimes[name] = apisystem.RuntimeWithStatus{Runtime: runtime.Runtime}
		}
	}
	return out
}

// infoUntil149 has the fields that API 1.50 left out.
type infoUntil149 struct {
	*apisystem.Info
	BridgeNfIptables  bool `json:"BridgeNfIptables"`
	BridgeNfIP6tables bool `json:"BridgeNfIp6tables"`
	RegistryConfig    any
	ContainerdCommit  any
	RuncCommit        any
	InitCommit        any
}

// commitUntil148 has the expected commit, which API 1.49 left out.
type commitUntil148 struct {
	apisystem.Commit
	Expected string
}

// registryUntil146 has the fields that API 1.47 left out; they are always null.
type registryUntil146 struct {
	*registry.ServiceConfig
	AllowNondistributableArtifactsCIDRs     []string
	AllowNondistributableArtifactsHostnames []string
}

func (s systemRoutes) diskUsage(ctx context.Context, r *server.Request) (server.Response, error) {
	o, err := usageOptions(r)
	if err != nil {
		return server.Response{}, err
	}
	usage, err := s.DiskUsage(ctx, o)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, usage), nil
}

// usageOptions reads what to measure; without a type, and before API 1.42, it is all.
func usageOptions(r *server.Request) (system.UsageOptions, error) {
	types := r.Query()["type"]
	if len(types) == 0 || r.VersionLess("1.42") {
		return system.UsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true}, nil
	}
	var o system.UsageOptions
	for _, t := range types {
		switch apisystem.DiskUsageObject(t) {
		case apisystem.ContainerObject:
			o.Containers = true
		case apisystem.ImageObject:
			o.Images = true
		case apisystem.VolumeObject:
			o.Volumes = true
		case apisystem.BuildCacheObject:
			o.BuildCache = true
		default:
			return o, errdefs.ErrInvalidArgument.WithMessage("unknown object type: " + t)
		}
	}
	return o, nil
}

func (s systemRoutes) auth(ctx context.Context, r *server.Request) (server.Response, error) {
	var auth registry.AuthConfig
	if err := r.JSON(&auth); err != nil {
		return server.Response{}, err
	}
	token, err := s.Authenticate(ctx, auth)
	if err != nil {
		return server.Response{}, err
	}
	return server.JSON(http.StatusOK, registry.AuthResponse{Status: "Login Succeeded", IdentityToken: token}), nil
}
