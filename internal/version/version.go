package version

import (
	"runtime/debug"
	"sync"
)

// Set by the linker (-ldflags "-X .../version.Version=..."); what it does not set comes from the build information that
// the Go tool embeds.
var (
	// Version is the release, without a leading v.
	Version = "0.1.0-dev"
	// Commit is the revision that was built.
	Commit = ""
	// BuildTime is when, in RFC 3339.
	BuildTime = ""
	// Runc is the version of the runc that is built and shipped with this program.
	Runc = ""
)

// Info is what is known of the build.
type Info struct {
	Version   string
	Commit    string
	BuildTime string
}

// Get returns the build's figures; unknown ones are "unknown" or empty.
var Get = sync.OnceValue(func() Info {
	info := Info{Version, Commit, BuildTime}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info.complete()
	}
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision" && info.Commit == "":
			info.Commit = s.Value
		case s.Key == "vcs.time" && info.BuildTime == "":
			info.BuildTime = s.Value
		}
	}
	return info.complete()
})

// complete shortens the commit as Docker does, and fills in what is unknown.
func (i Info) complete() Info {
	const short = 7
	if i.Commit == "" {
		i.Commit = "unknown"
	} else if len(i.Commit) > short {
		i.Commit = i.Commit[:short]
	}
	return i
}
