package command

import (
	"encoding/json"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

const (
	// vmhelperGrace is how long vmhelper may take to end: it kills what still runs.
	vmhelperGrace = 60 * time.Second
	// leastFrontendGrace is what systemd gives dockerd: a container's own stop timeout may be longer than the daemon's.
	leastFrontendGrace = 90 * time.Second
	// stopMargin is what a daemon gets beyond what it was configured to take, and a supervisor beyond its daemon.
	stopMargin = 15 * time.Second
)

// frontendGrace tells how long the frontend may take to stop the containers and end, by its flags and its daemon.json
// as they are now.
func frontendGrace(home instance.Home, args []string) time.Duration {
	seconds := shutdownTimeout(home, args)
	if seconds < 0 {
		return supervisor.Forever
	}
	return max(leastFrontendGrace, time.Duration(seconds)*time.Second+stopMargin)
}

// shutdownTimeout reads the one directive that a supervisor must know. What cannot be read was refused by the frontend,
// which then does not run: it counts as absent.
func shutdownTimeout(home instance.Home, args []string) int {
	const key = "shutdown-timeout"
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.ParseErrorsAllowlist.UnknownFlags = true
	set.Usage = func() {}
	seconds := set.Int(key, 0, "")
	file := set.String("config-file", home.Config(), "")
	if set.Parse(args) == nil && set.Changed(key) {
		return *seconds
	}
	var directives map[string]json.RawMessage
	if text, err := os.ReadFile(*file); err == nil && json.Unmarshal(text, &directives) == nil {
		_ = json.Unmarshal(directives[key], seconds)
	}
	return *seconds
}
