package sandbox

import (
	"context"
	"time"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// maxExitCode is the greatest that a process can have, whatever an agent says.
const maxExitCode = 255

// A connection that breaks at once again is not hammered.
const (
	retryFirst = 10 * time.Millisecond
	retryMax   = time.Second
)

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// follow receives the agent's events until the sandbox is dead or the box released.
func (b *Box) follow() {
	defer close(b.done)
	for delay := retryFirst; b.ctx.Err() == nil; delay = min(2*delay, retryMax) {
		begun := time.Now()
		err := b.receive()
		if b.ctx.Err() != nil {
			return
		}
		if time.Since(begun) > retryMax {
			delay = retryFirst
		}
		// The agent never restarts: either the connection broke, or the sandbox ended. vmhelper knows.
		alive, checkErr := b.manager.alive(b.ctx, b.ID, b.BootID)
		switch {
		case b.ctx.Err() != nil:
			return
		case checkErr != nil:
			b.log.Warn("agent connection lost, and vmhelper does not answer", "error", err, "check", checkErr)
		case !alive:
			b.manager.died(b, "its agent ended")
			return
		default:
			b.log.Debug("agent connection lost, reconnecting", "error", err)
		}
		pause(b.ctx, delay)
	}
}

func (b *Box) receive() error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	defer cancel(nil)
	stream, err := b.agent.Events(ctx, &guestv1.EventsRequest{})
	if err != nil {
		return err
	}
	for {
		ev, err := stream.Recv()
		if err != nil {
			return err
		}
		switch e := ev.Event.(type) {
		case *guestv1.Event_Exit:
			e.Exit.Code = min(e.Exit.Code, maxExitCode)
			if h := b.handler(e.Exit.ContainerId); h != nil {
				h.Exited(e.Exit)
			}
		case *guestv1.Event_OutOfMemory:
			if h := b.handler(e.OutOfMemory.ContainerId); h != nil {
				h.OutOfMemory()
			}
		case *guestv1.Event_SocketConnection:
			if h := b.handler(e.SocketConnection.ContainerId); h != nil {
				h.SocketConnected(e.SocketConnection)
			}
		}
	}
}

func (b *Box) handler(id string) Handler {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holders[id]
}
