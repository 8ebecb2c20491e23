package exec

import (
	"context"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// defaultPath is PATH where neither image nor client set it, as in Docker.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Create notes an exec in a running container and returns its ID.
func (s *Service) Create(_ context.Context, ref string, req container.ExecCreateRequest) (string, error) {
	if len(req.Cmd) == 0 {
		return "", errNoCommand
	}
	rec, err := s.containers.Record(ref)
	if err != nil {
		return "", err
	}
	if err := active(rec, ref); err != nil {
		return "", err
	}
	keys, err := attach.ParseKeys(req.DetachKeys)
	if err != nil {
		return "", err
	}
	e := s.prepare(rec, req)
	e.detachKeys = keys
	if err := s.add(e); err != nil {
		return "", err
	}
	s.tell(e, events.ActionExecCreate)
	return e.id, nil
}

// prepare fills what the client left to the container.
func (s *Service) prepare(rec *record.Container, req container.ExecCreateRequest) *Exec {
	e := newExec(rec.ID)
	if req.User == "" {
		req.User = rec.Config.User
	}
	if req.WorkingDir == "" {
		req.WorkingDir = rec.Config.WorkingDir
	}
	e.req = req
	e.env = environment(rec, req.Tty, req.Env)
	e.detachKeys = []byte{}
	return e
}

// active refuses a container in which nothing can be executed.
func active(rec *record.Container, ref string) error {
	switch rec.State.Status {
	case record.Running:
		return nil
	case record.Paused:
		return conflict("Container %s is paused, unpause the container before exec", ref)
	case record.Restarting:
		return conflict("Container %s is restarting, wait until the container is running", rec.ID)
	default:
		return conflict("container %s is not running", rec.ID)
	}
}

// tell publishes a step of an exec with its command, as Docker words it.
func (s *Service) tell(e *Exec, action events.Action) {
	text := string(action) + ": " + e.req.Cmd[0] + " " + strings.Join(e.req.Cmd[1:], " ")
	s.containers.Publish(e.container, events.Action(text), map[string]string{"execID": e.id})
}

// environment is the container's own with the client's additions. A name without a value unsets it.
func environment(rec *record.Container, tty bool, extra []string) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + rec.Config.Hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	return replaceOrAppend(replaceOrAppend(env, rec.Config.Env), extra)
}

func replaceOrAppend(env, more []string) []string {
	at := make(map[string]int, len(env))
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		at[name] = i
	}
	for _, e := range more {
		name, _, set := strings.Cut(e, "=")
		i, known := at[name]
		switch {
		case known && set:
			env[i] = e
		case known:
			env[i] = ""
		case set:
			env = append(env, e)
		}
	}
	return slices.DeleteFunc(env, func(e string) bool { return e == "" })
}
