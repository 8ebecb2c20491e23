//go:build integration

package integration

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/test/harness"
)

func TestListFilters(t *testing.T) {
	t.Parallel()
	label := harness.Name(t)
	running := arca.Sleeper(t, "--label", label+"=1", "-v", "/data")
	ended := arca.Start(t, "--label", label+"=2", "busybox", "sh", "-c", "exit 3")
	created := arca.Container(t)
	arca.Docker(t, "create", "--name", created, "--label", label+"=3", "busybox", "true").OK()
	arca.Docker(t, "wait", ended).OK()
	id := arca.Inspect(t, running, "{{.Id}}")
	for _, tc := range []struct {
		flags string
		want  []string
	}{
		{"", []string{running}},
		{"-a", []string{created, ended, running}},
		{"-a --filter status=exited", []string{ended}},
		{"-a --filter status=created", []string{created}},
		{"-a --filter exited=3", []string{ended}},
		{"-a --filter exited=4", nil},
		{"-a --filter label=" + label + "=2", []string{ended}},
		{"-a --filter id=" + id[:12], []string{running}},
		{"-a --filter name=^" + ended + "$", []string{ended}},
		{"-a --filter ancestor=busybox", []string{created, ended, running}},
		{"-a --filter ancestor=busybox:latest --filter status=running", []string{running}},
		{"-a --filter before=" + ended, []string{running}},
		{"-a --filter since=" + ended, []string{created}},
		{"-a --filter volume=/data", []string{running}},
		{"-a --filter network=none", nil},
		{"-a --filter is-task=true", nil},
	} {
		t.Run(tc.flags, func(t *testing.T) {
			args := append([]string{"ps", "--format", "{{.Names}}", "--filter", "label=" + label}, fields(tc.flags)...)
			if got := arca.Docker(t, args...).OK().Lines(); !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	arca.Docker(t, "ps", "--filter", "no-such=1").Exit(1).ErrHas("invalid filter 'no-such'")
	arca.Docker(t, "ps", "--filter", "status=no-such").Exit(1).ErrHas("no-such")
}

func TestListColumns(t *testing.T) {
	t.Parallel()
	name := arca.Start(t, "busybox", "sleep", "4321")
	arca.Docker(t, "ps", "--filter", "name="+name).OK().
		OutMatches(`(?m)^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n[0-9a-f]{12} +busybox +"sleep 4321" +.* ago +Up .* +` + name + `$`)
	arca.Docker(t, "exec", name, "sh", "-c", "head -c 100000 /dev/zero > /big").OK()
	arca.Docker(t, "ps", "-s", "--filter", "name="+name, "--format", "{{.Size}}").OK().OutMatches(`^1\d\dkB \(virtual \d`)
}

func TestInspect(t *testing.T) {
	t.Parallel()
	name := arca.Sleeper(t, "-m", "64m", "--cpus", "0.5", "-e", "A=b", "--hostname", "h", "--restart", "on-failure:4", "--cap-add", "NET_ADMIN")
	var list []struct {
		ID, Name, Path, Image, Created, LogPath, Driver, Platform string
		Args                                                      []string
		State                                                     struct {
			Status    string
			Running   bool
			Pid       int
			StartedAt string
		}
		HostConfig struct {
			Memory, NanoCpus int64
			CapAdd           []string
			NetworkMode      string
			RestartPolicy    struct {
				Name              string
				MaximumRetryCount int
			}
			LogConfig struct{ Type string }
			ShmSize   int64
		}
		Config struct {
			Hostname, Image string
			Env             []string
		}
		NetworkSettings struct{ Networks map[string]any }
	}
	if err := json.Unmarshal([]byte(arca.Docker(t, "inspect", name).OK().Stdout), &list); err != nil {
		t.Fatal(err)
	}
	c := list[0]
	for what, ok := range map[string]bool{
		"name":     c.Name == "/"+name,
		"state":    c.State.Status == "running" && c.State.Running && c.State.Pid > 1,
		"started":  strings.HasPrefix(c.State.StartedAt, "20"),
		"memory":   c.HostConfig.Memory == 64<<20 && c.HostConfig.NanoCpus == 5e8,
		"shm":      c.HostConfig.ShmSize == 64<<20,
		"restart":  c.HostConfig.RestartPolicy.Name == "on-failure" && c.HostConfig.RestartPolicy.MaximumRetryCount == 4,
		"log":      c.HostConfig.LogConfig.Type == "json-file",
		"hostname": c.Config.Hostname == "h",
		"image":    c.Config.Image == "busybox" && strings.HasPrefix(c.Image, "sha256:"),
		"env":      slices.Contains(c.Config.Env, "A=b"),
		"command":  c.Path == "sh",
		"platform": c.Platform == "linux",
		"capAdd":   len(c.HostConfig.CapAdd) == 1,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, c)
		}
	}
	arca.Docker(t, "inspect", "no-such-object").Exit(1).ErrHas("No such object: no-such-object")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	label := harness.Name(t)
	name := arca.Container(t)
	arca.Docker(t, "run", "--name", name, "--label", label, "busybox", "sh", "-c", "exit 5").Exit(5)
	arca.Docker(t, "rm", name).OK()
	want := []string{"create", "attach", "start", "die", "destroy"}
	r := arca.Docker(t, "events", "--since", "10m", "--until", soon(), "--filter", "label="+label, "--filter", "type=container", "--format", "{{.Action}}").OK()
	if got := r.Lines(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	arca.Docker(t, "events", "--since", "10m", "--until", soon(), "--filter", "label="+label, "--filter", "event=die", "--format", `{{index .Actor.Attributes "exitCode"}} {{index .Actor.Attributes "image"}} {{index .Actor.Attributes "name"}}`).
		OK().Out("5 busybox " + name + "\n")
}

func TestSystem(t *testing.T) {
	t.Parallel()
	arca.Docker(t, "version", "--format", "{{.Server.Os}} {{.Server.APIVersion}}").OK().Out("linux 1.51\n")
	arca.Docker(t, "info", "--format", "{{.OSType}} {{.NCPU}}").OK().OutMatches(`^linux \d+\n$`)
	arca.Docker(t, "info").OK().OutHas("Containers:", "Images:", "Server Version:", arca.Mirror)
	arca.Docker(t, "system", "df").OK().OutHas("Images", "Containers", "Local Volumes", "Build Cache")
	arca.Docker(t, "system", "df", "-v").OK()
}

// soon is the next full second: what --until takes has no fractions.
func soon() string { return strconv.FormatInt(time.Now().Unix()+1, 10) }
