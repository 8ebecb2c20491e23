package oci

import (
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// DefaultPath is the PATH of a process whose image and client say nothing.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func containerProcess(c *record.Container, w *World) (*specs.Process, error) {
	p, err := process(c, w)
	if err != nil {
		return nil, err
	}
	p.Args = append([]string{c.Path}, c.Args...)
	p.Env = environment(c, w, c.Config.Tty, c.Config.Env)
	p.Cwd = c.Config.WorkingDir
	p.Terminal = c.Config.Tty
	if s := c.HostConfig.ConsoleSize; p.Terminal && (s[0] > 0 || s[1] > 0) {
		p.ConsoleSize = &specs.Box{Height: s[0], Width: s[1]}
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	return p, nil
}

// ExecProcess makes the process of an exec in a running container. Its user is ExecUser's.
func ExecProcess(c *record.Container, e *container.ExecCreateRequest, w *World) (*specs.Process, error) {
	p, err := process(c, w)
	if err != nil {
		return nil, err
	}
	if e.Privileged {
		p.Capabilities = capabilities(w.available())
	}
	p.Args = slices.Clone(e.Cmd)
	p.Env = replaceOrAppend(environment(c, w, e.Tty, c.Config.Env), e.Env)
	p.Cwd = e.WorkingDir
	if p.Cwd == "" {
		p.Cwd = c.Config.WorkingDir
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	p.Terminal = e.Tty
	if e.Tty && e.ConsoleSize != nil {
		p.ConsoleSize = &specs.Box{Height: e.ConsoleSize[0], Width: e.ConsoleSize[1]}
	}
	return p, nil
}

// ExecUser is the user of an exec, as given: its own or the container's.
func ExecUser(c *record.Container, e *container.ExecCreateRequest) string {
	if e.User != "" {
		return e.User
	}
	return c.Config.User
}

// process is what the container's first process and its execs have in common.
func process(c *record.Container, w *World) (*specs.Process, error) {
	hc := c.HostConfig
	caps, err := w.tweak(hc.CapAdd, hc.CapDrop, hc.Privileged)
	if err != nil {
		return nil, err
	}
	score := hc.OomScoreAdj
	p := &specs.Process{
		Capabilities:    capabilities(caps),
		NoNewPrivileges: c.Security.NoNewPrivileges,
		OOMScoreAdj:     &score,
		Rlimits:         rlimits(Ulimits(hc.Ulimits, w.Ulimits)),
	}
	if w.AppArmor && c.Security.AppArmor != "" {
		p.ApparmorProfile = c.Security.AppArmor
	}
	return p, nil
}

// environment is Docker's, overridden by the container's.
func environment(c *record.Container, w *World, tty bool, own []string) []string {
	env := []string{"PATH=" + DefaultPath, "HOSTNAME=" + named(c, w).Config.Hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	return replaceOrAppend(append(env, w.LinkEnvironment...), own)
}

// replaceOrAppend overrides variables; one without "=" is taken away.
func replaceOrAppend(env, own []string) []string {
	at := make(map[string]int, len(env))
	for i, e := range env {
		k, _, _ := strings.Cut(e, "=")
		at[k] = i
	}
	for _, e := range own {
		k, _, ok := strings.Cut(e, "=")
		i, exists := at[k]
		switch {
		case ok && exists:
			env[i] = e
		case ok:
			at[k] = len(env)
			env = append(env, e)
		case exists:
			env[i] = ""
		}
	}
	return slices.DeleteFunc(env, func(e string) bool { return e == "" })
}

// Ulimits joins a container's limits with daemon.json's, ordered by name after the container's own.
func Ulimits(own []*container.Ulimit, defaults map[string]*container.Ulimit) []*container.Ulimit {
	out := slices.Clone(own)
	names := make([]string, 0, len(defaults))
	for name := range defaults {
		if !slices.ContainsFunc(own, func(u *container.Ulimit) bool { return u.Name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, defaults[name])
	}
	return out
}

func rlimits(list []*container.Ulimit) []specs.POSIXRlimit {
	var out []specs.POSIXRlimit
	for _, u := range list {
		out = append(out, specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard)})
	}
	return out
}
