package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/guest/reaper"
	"github.com/arca-engine/arca/guest/stdio"
)

// Runtime runs containers.
type Runtime struct {
	command string // of runc.
	root    string // of runc's state.
	reaper  *reaper.Reaper
}

// New makes a runtime that keeps runc's state below root. The reaper becomes go-runc's monitor.
func New(command, root string, r *reaper.Reaper) *Runtime {
	runc.Monitor = r
	return &Runtime{command: command, root: root, reaper: r}
}

// call is one call of runc with a log of its own.
type call struct {
	*runc.Runc
	dir string
}

func (r *Runtime) call() (*call, error) {
	dir, err := os.MkdirTemp("", "runc")
	if err != nil {
		return nil, fmt.Errorf("call runc: %w", err)
	}
	return &call{&runc.Runc{Command: r.command, Root: r.root, Log: filepath.Join(dir, "log"), LogFormat: runc.JSON}, dir}, nil
}

func (c *call) close() { _ = os.RemoveAll(c.dir) }

func (c *call) pid() (int, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, "pid"))
	if err != nil {
		return 0, fmt.Errorf("read pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read pid: %w", err)
	}
	return pid, nil
}

// Error is the sentence of runc.
type Error struct{ Sentence string }

func (e *Error) Error() string { return e.Sentence }

// explain puts runc's own sentence in the place of err.
func (c *call) explain(err error) error {
	if err == nil {
		return nil
	}
	f, oerr := os.Open(filepath.Join(c.dir, "log"))
	if oerr != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var last string
	d := json.NewDecoder(io.LimitReader(f, 1<<20))
	for {
		var l struct{ Level, Msg string }
		if d.Decode(&l) != nil {
			break
		}
		if l.Level == "error" || l.Level == "fatal" {
			last = l.Msg
		}
	}
	if last == "" {
		return err
	}
	if rest, ok := strings.CutPrefix(last, "runc run failed: "); ok {
		last = "runc create failed: " + rest
	}
	return &Error{strings.TrimSpace(last)}
}

// Run starts the container whose bundle is given and returns its first process, which gets files from descriptor 3 on.
func (r *Runtime) Run(ctx context.Context, id, bundle string, io *stdio.Streams, files []*os.File) (int, <-chan reaper.Exit, error) {
	c, err := r.call()
	if err != nil {
		return 0, nil, err
	}
	defer c.close()
	defer r.reaper.Hold()()
	opts := &runc.CreateOpts{IO: io, Detach: true, PidFile: filepath.Join(c.dir, "pid"), ConsoleSocket: io.ConsoleSocket(), ExtraFiles: files}
	if _, err := c.Run(ctx, id, bundle, opts); err != nil {
		return 0, nil, c.explain(err)
	}
	pid, err := c.pid()
	if err != nil {
		return 0, nil, err
	}
	return pid, r.reaper.Claim(pid), nil
}

// Exec starts another process in a container.
func (r *Runtime) Exec(ctx context.Context, id string, p specs.Process, io *stdio.Streams) (int, <-chan reaper.Exit, error) {
	c, err := r.call()
	if err != nil {
		return 0, nil, err
	}
	defer c.close()
	defer r.reaper.Hold()()
	opts := &runc.ExecOpts{IO: io, Detach: true, PidFile: filepath.Join(c.dir, "pid"), ConsoleSocket: io.ConsoleSocket()}
	if err := c.Exec(ctx, id, p, opts); err != nil {
		return 0, nil, c.explain(err)
	}
	pid, err := c.pid()
	if err != nil {
		return 0, nil, err
	}
	return pid, r.reaper.Claim(pid), nil
}

func (r *Runtime) do(f func(*call) error) error {
	c, err := r.call()
	if err != nil {
		return err
	}
	defer c.close()
	err = c.explain(f(c))
	var said *Error
	if errors.As(err, &said) && strings.Contains(said.Sentence, "container does not exist") {
		return fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	return err
}

// Delete removes what is left of a container, killing what still runs in it. An absent one is no error.
func (r *Runtime) Delete(ctx context.Context, id string) error {
	return r.do(func(c *call) error { return c.Delete(ctx, id, &runc.DeleteOpts{Force: true}) })
}

// Pause freezes all processes of a container.
func (r *Runtime) Pause(ctx context.Context, id string) error {
	return r.do(func(c *call) error { return c.Pause(ctx, id) })
}

// Resume thaws them.
func (r *Runtime) Resume(ctx context.Context, id string) error {
	return r.do(func(c *call) error { return c.Resume(ctx, id) })
}

// KillAll sends a signal to all processes of a container.
func (r *Runtime) KillAll(ctx context.Context, id string, signal int) error {
	return r.do(func(c *call) error { return c.Kill(ctx, id, signal, &runc.KillOpts{All: true}) })
}

// Update changes the limits of a container.
func (r *Runtime) Update(ctx context.Context, id string, res *specs.LinuxResources) error {
	return r.do(func(c *call) error { return c.Update(ctx, id, res) })
}
