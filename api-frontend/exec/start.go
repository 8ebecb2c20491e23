package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/internal/join"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// startLimit bounds a start; a client's leaving does not end it.
const startLimit = time.Minute

// stdinLimit bounds how long the input of a client that has left is still passed on.
const stdinLimit = 10 * time.Second

// StartOptions say how an exec is started.
type StartOptions struct {
	// ConsoleSize is height and width of the terminal, over those of the creation.
	ConsoleSize *[2]uint
	// Client is attached; nil starts detached. It has been closed when Start returns without an error.
	Client join.Stream
	// Multiplex sends the client stdcopy frames.
	Multiplex bool
}

// Check returns the error that a start would give before it begins: no such exec, or its container does not run.
func (s *Service) Check(id string) error {
	_, _, err := s.lookup(id)
	return err
}

func (s *Service) lookup(id string) (*Exec, *record.Container, error) {
	e := s.find(id)
	if e == nil {
		return nil, nil, notFound("exec instance", id)
	}
	rec, err := s.containers.Record(e.container)
	if err != nil {
		return nil, nil, notFound("container", id)
	}
	return e, rec, active(rec, rec.ID)
}

// Start runs an exec. Detached, it returns when the process runs; attached, when the process and its output have ended,
// or when the client has left or detached.
func (s *Service) Start(ctx context.Context, id string, o StartOptions) error {
	e, rec, err := s.lookup(id)
	if err != nil {
		return err
	}
	if o.ConsoleSize == nil {
		o.ConsoleSize = e.req.ConsoleSize
	}
	if o.Client == nil {
		_, err := s.run(ctx, e, rec, launch{console: o.ConsoleSize})
		return err
	}
	w := &attach.Writer{W: o.Client, Multiplex: o.Multiplex, Stdout: e.req.AttachStdout, Stderr: e.req.AttachStderr}
	agent, err := s.run(ctx, e, rec, launch{console: o.ConsoleSize, stdin: e.req.AttachStdin, sink: w.Frame})
	if err != nil {
		return err
	}
	return s.attached(ctx, e, agent, o.Client)
}

// launch is how a process is started.
type launch struct {
	console *[2]uint
	stdin   bool
	sink    attach.Sink // nil: output is not wanted.
}

// run starts the process and what follows its end.
func (s *Service) run(ctx context.Context, e *Exec, rec *record.Container, l launch) (Agent, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	s.tell(e, events.ActionExecStart)
	if l.sink != nil {
		e.gate.open(l.sink)
	}
	agent, err := s.launch(ctx, e, rec, l)
	if err == nil && !s.goRun(func() { s.follow(e, agent, l.sink != nil) }) {
		err = errClosed
	}
	if err != nil {
		code, err := startError(err)
		e.exit(code)
		close(e.started)
		close(e.done)
		s.noteEnded(e)
		return nil, err
	}
	return agent, nil
}

func (s *Service) launch(ctx context.Context, e *Exec, rec *record.Container, l launch) (Agent, error) {
	agent, err := s.containers.Agent(e.container)
	if err != nil {
		return nil, err
	}
	req, err := s.request(e, rec, l)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startLimit)
	defer cancel()
	resp, err := agent.Exec(ctx, req)
	if err != nil {
		return nil, sandbox.Native(err)
	}
	e.ran(int(resp.Pid))
	return agent, nil
}

func (s *Service) request(e *Exec, rec *record.Container, l launch) (*guestv1.ExecRequest, error) {
	p, err := s.containers.Process(rec, e.req.Privileged)
	if err != nil {
		return nil, err
	}
	p.Args, p.Env, p.Cwd, p.Terminal = e.req.Cmd, e.env, e.req.WorkingDir, e.req.Tty
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	p.ConsoleSize = nil
	req := &guestv1.ExecRequest{
		ContainerId: e.container, ExecId: e.id,
		User: e.req.User, Groups: rec.HostConfig.GroupAdd,
		Terminal: e.req.Tty, Stdin: l.stdin, DiscardOutput: l.sink == nil,
	}
	if e.req.Tty && l.console != nil {
		req.ConsoleRows, req.ConsoleColumns = clamp(l.console[0]), clamp(l.console[1])
		p.ConsoleSize = &specs.Box{Height: l.console[0], Width: l.console[1]}
	}
	if req.Process, err = json.Marshal(p); err != nil {
		return nil, fmt.Errorf("encode process: %w", err)
	}
	return req, nil
}

// clamp brings a size of a terminal to what the kernel takes.
func clamp(n uint) uint32 { return uint32(min(n, 1<<16-1)) }

// inputEnd is how the input of a client ended.
type inputEnd struct{ err error }

// attached passes a client's input on until the process has ended, or the client has left or detached.
func (s *Service) attached(ctx context.Context, e *Exec, agent Agent, client join.Stream) error {
	input := make(chan inputEnd, 1)
	stdinCtx, cut := context.WithCancelCause(s.ctx)
	defer cut(nil)
	if e.req.AttachStdin {
		go func() { input <- inputEnd{s.stdin(stdinCtx, e, agent, client)} }()
	}
	left := false
	var lastWord <-chan time.Time
	for waiting := true; waiting; {
		select {
		case <-e.done:
			waiting = false
		case end := <-input:
			input = nil // The process lives without input.
			if errors.Is(end.err, attach.ErrDetached) {
				s.containers.Publish(e.container, events.ActionExecDetach, map[string]string{"execID": e.id})
				waiting = false
			} else if end.err != nil {
				s.log.Debug("exec stdin", "exec", e.id, "error", end.err)
			} else if e.req.Tty { // A terminal has no end of input: as in dockerd it is the attachment's end.
				lastWord = time.After(attach.LastWord)
			}
		case <-lastWord:
			waiting = false
		case <-ctx.Done():
			left, waiting = true, false
		case <-e.gate.failed:
			left, waiting = true, false
		case <-s.ctx.Done():
			waiting = false
		}
	}
	if left && input != nil && e.req.AttachStdin {
		// What the client had sent before it left still belongs to the process.
		t := time.NewTimer(stdinLimit)
		defer t.Stop()
		select {
		case <-input:
			input = nil
		case <-e.done:
		case <-s.ctx.Done():
		case <-t.C:
		}
	}
	cut(nil)
	_ = client.CloseWrite() // The client may have gone; there is nobody to tell.
	_ = client.Close()
	e.gate.shut()
	if input != nil && e.req.AttachStdin {
		<-input
	}
	return nil
}

// stdin copies the client's input to the process.
func (s *Service) stdin(ctx context.Context, e *Exec, agent Agent, client join.Stream) error {
	conn, _, err := agent.OpenStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Stdin{
		Stdin: &guestv1.StdinStream{ContainerId: e.container, ExecId: e.id, Confirmed: true},
	}})
	if err != nil {
		return err // The process may have ended before: its output tells.
	}
	dst := join.Of(conn)
	defer func() { _ = dst.Close() }()
	defer context.AfterFunc(ctx, func() { _ = dst.Close() })()
	return attach.Feed(dst, client, e.req.Tty, func() bool { return ctx.Err() != nil }, e.detachKeys)
}
