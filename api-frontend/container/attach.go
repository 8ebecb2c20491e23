package container

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/attach"
	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/internal/join"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// AttachOptions are the parameters of POST /containers/{id}/attach.
type AttachOptions struct {
	Stdin, Stdout, Stderr bool
	Stream                bool // follow the output and take input.
	Logs                  bool // what the log holds first.
	DetachKeys            string
}

// Attachment is a client that is attached, or about to be: its place in the output is taken already.
type Attachment struct {
	e    *Engine
	c    *Container
	o    AttachOptions
	keys []byte
	sub  *logs.Subscription // nil without Stream.
	log  *logs.Log
	// TTY tells how output is framed.
	TTY bool
}

// Peer is the client's connection.
type Peer interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Attach takes a place in the output of a container: what it writes from now on, or after its next start, is seen.
// Run or Close must follow.
func (e *Engine) Attach(ref string, o AttachOptions) (*Attachment, error) {
	keys, err := attach.ParseKeys(o.DetachKeys)
	if err != nil {
		return nil, invalid("Invalid detach keys (%s) provided", o.DetachKeys)
	}
	c, err := e.Get(ref)
	if err != nil {
		return nil, err
	}
	r := c.Record()
	switch r.State.Status {
	case record.Paused:
		return nil, conflict("container %s is paused, unpause the container before attach", c.id)
	case record.Restarting:
		return nil, conflict("container %s is restarting, wait until the container is running", c.id)
	}
	a := &Attachment{e: e, c: c, o: o, keys: keys, TTY: r.Config.Tty}
	if a.log, err = e.openLog(c); err != nil {
		return nil, err
	}
	if o.Stream {
		a.sub, err = a.log.Subscribe(logs.SubscribeOptions{Stdout: o.Stdout, Stderr: o.Stderr, Logs: o.Logs, Raw: a.TTY})
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Close gives the place up.
func (a *Attachment) Close() {
	if a.sub != nil {
		a.sub.Close()
	}
}

// Run serves the client until the run ends, the client leaves (ctx) or detaches.
func (a *Attachment) Run(ctx context.Context, peer Peer) error {
	defer a.Close()
	a.e.publish(events.ActionAttach, a.c.Record(), nil)
	if a.sub == nil {
		if !a.o.Logs {
			return nil
		}
		return a.log.Read(ctx, logs.ReadOptions{Stdout: a.o.Stdout, Stderr: a.o.Stderr, Tail: logs.All, Raw: a.TTY}, peer)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	if a.o.Stdin && a.c.Record().Config.OpenStdin {
		wg.Go(func() {
			err := a.stdin(ctx, peer)
			if errors.Is(err, attach.ErrDetached) {
				cancel(err)
			} else if err == nil && ctx.Err() == nil && (a.TTY || !a.c.Record().Config.StdinOnce) {
				select {
				case <-time.After(attach.LastWord):
				case <-ctx.Done():
				}
				cancel(errStdinEnded)
			} else if err != nil && ctx.Err() == nil {
				a.e.log.Debug("stdin of an attached client", "container", a.c.id, "error", err)
			}
		})
	}
	err := a.sub.Copy(ctx, peer)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, attach.ErrDetached):
		a.e.publish(events.ActionDetach, a.c.Record(), nil)
		err = nil
	case errors.Is(cause, errStdinEnded):
		err = nil
	}
	// The output is over, or nobody wants it: that ends the input too.
	if cerr := peer.CloseWrite(); err == nil && cerr != nil && ctx.Err() == nil {
		err = cerr
	}
	if attach.Left(ctx) {
		_ = peer.Close() // Ends the input, which is told before the agent's stream is closed.
		wg.Wait()
	}
	cancel(nil)
	_ = peer.Close()
	wg.Wait()
	return err
}

// errStdinEnded ends an attachment: when the client closed its input and the container's stays open, for the next one or
// because it is a terminal, dockerd ends the output as well.
var errStdinEnded = errors.New("the client's input has ended")

// stdin carries the client's input to the process, once there is one.
func (a *Attachment) stdin(ctx context.Context, peer Peer) error {
	r, err := a.c.nextRun(ctx)
	if err != nil {
		return err
	}
	conn, err := r.dialStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Stdin{
		Stdin: &guestv1.StdinStream{ContainerId: a.c.id, Confirmed: true},
	}})
	if err != nil {
		return sandbox.Native(err)
	}
	defer func() { _ = conn.Close() }()
	once := a.c.Record().Config.StdinOnce
	// Input that belongs to one client ends with it; a frontend that ends leaves it to the next.
	keep := func() bool { return !once || ctx.Err() != nil && !attach.Left(ctx) }
	stop := context.AfterFunc(ctx, func() {
		if !keep() && !a.TTY { // What the client had sent goes out, and the end of it.
			_ = conn.SetDeadline(time.Now().Add(stdinLimit))
			return
		}
		_ = conn.Close()
	})
	defer stop()
	return attach.Feed(join.Of(conn), peer, a.TTY, keep, a.keys)
}

// stdinLimit bounds how long the input of a client that has left is still passed on.
const stdinLimit = 10 * time.Second

// nextRun waits for the run that is in progress, or the next, to have its process.
func (c *Container) nextRun(ctx context.Context) (*run, error) {
	for {
		c.mu.Lock()
		r, changed, removed := c.run, c.changed, c.removed
		c.mu.Unlock()
		if removed {
			return nil, notFound(c.id)
		}
		if r != nil {
			select {
			case <-r.begun:
				return r, nil
			case <-r.stopped:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
