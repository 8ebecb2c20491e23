package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/sys/signal"
)

// Config is what instructions change.
type Config = dockerspec.DockerOCIImageConfig

func invalid(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
}

// state is a configuration under change.
type state struct {
	*Config
	cmdSet bool // among these changes: an entry point drops only the command that it finds.
}

// instructions are those that may be changes.
var instructions = map[string]func(s *state, rest string) error{
	"CMD": (*state).cmd, "ENTRYPOINT": (*state).entrypoint, "ENV": (*state).env, "EXPOSE": (*state).expose,
	"HEALTHCHECK": (*state).healthcheck, "LABEL": (*state).label, "ONBUILD": (*state).onbuild,
	"STOPSIGNAL": (*state).stopSignal, "USER": (*state).user, "VOLUME": (*state).volume, "WORKDIR": (*state).workdir,
}

// Apply changes a configuration by instructions; each string may hold several lines.
func Apply(c *Config, changes []string) error {
	s := &state{Config: c}
	for _, line := range lines(strings.Join(changes, "\n")) {
		name, rest, _ := cutSpace(line)
		apply := instructions[strings.ToUpper(name)]
		if apply == nil {
			return invalid("%s is not a valid change command", strings.ToLower(name))
		}
		if rest == "" {
			return invalid("%s requires at least one argument", strings.ToUpper(name))
		}
		if err := apply(s, rest); err != nil {
			return err
		}
	}
	return nil
}

// lines joins continued lines and leaves out comments and empty ones.
func lines(text string) []string {
	var out []string
	joined := ""
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if head, ok := strings.CutSuffix(l, "\\"); ok {
			joined += head
			continue
		}
		out = append(out, joined+l)
		joined = ""
	}
	if joined != "" {
		out = append(out, joined)
	}
	return out
}

func cutSpace(s string) (head, rest string, found bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimSpace(s[i:]), true
}

// command reads an instruction's command: a JSON array, or words for a shell.
func (s *state) command(rest string) []string {
	var list []string
	if strings.HasPrefix(rest, "[") && json.Unmarshal([]byte(rest), &list) == nil {
		return list
	}
	shell := s.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), rest)
}

func (s *state) cmd(rest string) error {
	s.Cmd, s.cmdSet = s.command(rest), true
	return nil
}

func (s *state) entrypoint(rest string) error {
	s.Entrypoint = s.command(rest)
	if !s.cmdSet {
		s.Cmd = nil
	}
	return nil
}

func (s *state) env(rest string) error {
	pairs, err := s.pairs("ENV", rest)
	if err != nil {
		return err
	}
	env := slices.Clone(s.Env)
	for _, p := range pairs {
		i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, p[0]+"=") })
		if i < 0 {
			env = append(env, p[0]+"="+p[1])
		} else {
			env[i] = p[0] + "=" + p[1]
		}
	}
	s.Env = env
	return nil
}

func (s *state) label(rest string) error {
	pairs, err := s.pairs("LABEL", rest)
	if err != nil {
		return err
	}
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, p := range pairs {
		labels[p[0]] = p[1]
	}
	s.Labels = labels
	return nil
}

func (s *state) onbuild(rest string) error {
	switch name, _, _ := cutSpace(rest); strings.ToUpper(name) {
	case "ONBUILD":
		return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return invalid("%s isn't allowed as an ONBUILD trigger", strings.ToUpper(name))
	}
	s.OnBuild = append(slices.Clone(s.OnBuild), rest)
	return nil
}

func (s *state) stopSignal(rest string) error {
	words, err := s.words(rest)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return invalid("STOPSIGNAL requires exactly one argument")
	}
	if _, err := signal.ParseSignal(words[0]); err != nil {
		return invalid("%v", err)
	}
	s.StopSignal = words[0]
	return nil
}

func (s *state) user(rest string) error {
	words, err := s.words(rest)
	if err != nil {
		return err
	}
	if len(words) != 1 {
		return invalid("USER requires exactly one argument")
	}
	s.User = words[0]
	return nil
}

func (s *state) workdir(rest string) error {
	words, err := s.words(rest)
	if err != nil {
		return err
	}
	dir := strings.Join(words, " ")
	if dir == "" {
		return invalid("cannot normalize nothing")
	}
	if !path.IsAbs(dir) {
		dir = path.Join("/", s.WorkingDir, dir)
	}
	s.WorkingDir = path.Clean(dir)
	return nil
}

func (s *state) volume(rest string) error {
	var list []string
	if !strings.HasPrefix(rest, "[") || json.Unmarshal([]byte(rest), &list) != nil {
		list = strings.Fields(rest)
	}
	volumes := maps.Clone(s.Volumes)
	if volumes == nil {
		volumes = map[string]struct{}{}
	}
	for _, v := range list {
		v, err := s.word(strings.TrimSpace(v))
		if err != nil {
			return err
		}
		if v == "" {
			return invalid("VOLUME specified can not be an empty string")
		}
		volumes[v] = struct{}{}
	}
	s.Volumes = volumes
	return nil
}
