package container

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/sandbox"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// drainLimit bounds the wait for the rest of a dead sandbox's output, which lies in a socket's queue.
const drainLimit = 5 * time.Second

// A connection that breaks at once again (a log that cannot be written) is not hammered.
const (
	redialFirst = 20 * time.Millisecond
	redialMax   = time.Second
)

// pump takes the output until its end, redialling where a connection broke and the sandbox did not. When the engine ends
// first the output is not all there: then pumped stays open.
func (r *run) pump(ctx context.Context) {
	for delay := redialFirst; ; delay = min(2*delay, redialMax) {
		begun := time.Now()
		err := r.pumpOnce(ctx)
		switch {
		case err == nil:
			close(r.pumped)
			return
		case ctx.Err() != nil:
			return
		case time.Since(begun) > redialMax:
			delay = redialFirst
		}
		t := time.NewTimer(delay) // The agent lives: nothing signals when it answers again.
		select {
		case <-r.box.Done():
			t.Stop()
			if errors.Is(r.box.Err(), sandbox.ErrDead) {
				r.e.log.Debug("output ended with its sandbox", "container", r.c.id, "error", err)
				close(r.pumped)
			}
			return
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			r.e.log.Debug("output connection lost, reconnecting", "container", r.c.id, "error", err)
		}
	}
}

func (r *run) pumpOnce(ctx context.Context) error {
	_, stdout, stderr := r.log.Offsets()
	conn, err := r.dialStream(ctx, &guestv1.StreamRequest{Request: &guestv1.StreamRequest_Output{
		Output: &guestv1.OutputStream{ContainerId: r.c.id, StdoutOffset: stdout, StderrOffset: stderr},
	}})
	if err != nil {
		if errdefs.IsNotFound(sandbox.Native(err)) && r.box.Err() == nil {
			return nil // Acknowledged before: all of it was written.
		}
		return err
	}
	defer func() { _ = conn.Close() }()
	// What a dead agent has sent is still in the socket's queue: read it to its end, but not for ever.
	stop := r.box.AfterDone(func() { _ = conn.SetReadDeadline(time.Now().Add(drainLimit)) })
	defer stop()
	return logs.Pump(ctx, conn, r.log)
}
