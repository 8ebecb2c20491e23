package system

import (
	"fmt"
	"runtime"

	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/arca-engine/arca/internal/version"
	"github.com/moby/moby/api/types/system"
)

const osType = "linux"

// Version describes the engine and what it ships.
func (s *Service) Version() system.VersionResponse {
	build := version.Get()
	v := system.VersionResponse{
		Platform:      system.PlatformInfo{Name: "Arca Engine"},
		Version:       build.Version,
		APIVersion:    server.MaxAPIVersion,
		MinAPIVersion: server.MinAPIVersion,
		Os:            osType,
		Arch:          runtime.GOARCH,
		GitCommit:     build.Commit,
		GoVersion:     runtime.Version(),
		KernelVersion: s.host.kernel,
		BuildTime:     build.BuildTime,
	}
	v.Components = []system.ComponentVersion{{
		Name:    "Engine",
		Version: v.Version,
		Details: map[string]string{
			"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion, "GitCommit": v.GitCommit, "GoVersion": v.GoVersion,
			"Os": v.Os, "Arch": v.Arch, "KernelVersion": v.KernelVersion, "BuildTime": v.BuildTime,
			"Experimental": fmt.Sprint(v.Experimental),
		},
	}}
	for _, c := range []struct {
		name string
		of   Component
	}{{"runc", s.o.Runc}, {"arca-init", s.o.Init}} {
		if c.of.Version != "" {
			v.Components = append(v.Components, system.ComponentVersion{Name: c.name, Version: c.of.Version,
				Details: map[string]string{"GitCommit": c.of.Commit}})
		}
	}
	return v
}
