package agent

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"

	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// maxPending bounds the events that wait for a slow subscriber; beyond, it is cut and comes again.
const maxPending = 16 << 10

type processKey struct{ container, exec string }

// journal keeps exits until they are acknowledged, and passes events to one subscriber.
type journal struct {
	mu    sync.Mutex
	exits map[processKey]*guestv1.Exit
	conns map[string]*guestv1.Event // connections to sockets that wait for a stream, by token.
	sub   *subscription
}

type subscription struct {
	pending []*guestv1.Event
	wake    chan struct{} // one place.
	ended   error
}

func newJournal() *journal {
	return &journal{exits: map[processKey]*guestv1.Exit{}, conns: map[string]*guestv1.Event{}}
}

func (j *journal) exited(e *guestv1.Exit) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.exits[processKey{e.ContainerId, e.ExecId}] = e
	j.sendLocked(&guestv1.Event{Event: &guestv1.Event_Exit{Exit: e}})
}

// connected tells of a connection until it is settled, to later subscribers too.
func (j *journal) connected(c *guestv1.SocketConnection) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &guestv1.Event{Event: &guestv1.Event_SocketConnection{SocketConnection: c}}
	j.conns[string(c.Token)] = e
	j.sendLocked(e)
}

func (j *journal) settled(token []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.conns, string(token))
}

func (j *journal) send(e *guestv1.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sendLocked(e)
}

func (j *journal) sendLocked(e *guestv1.Event) {
	s := j.sub
	if s == nil {
		return
	}
	if len(s.pending) >= maxPending {
		s.end(fmt.Errorf("the subscriber is too slow: %w", errdefs.ErrResourceExhausted))
		j.sub = nil
		return
	}
	s.pending = append(s.pending, e)
	s.poke()
}

func (s *subscription) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) end(err error) { s.ended = err; s.poke() }

// forget drops an acknowledged exit.
func (j *journal) forget(k processKey) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.exits, k)
}

// serve sends events to the stream until it ends or another subscriber comes.
func (j *journal) serve(ctx context.Context, stream grpc.ServerStreamingServer[guestv1.Event]) error {
	s := &subscription{wake: make(chan struct{}, 1)}
	j.mu.Lock()
	if j.sub != nil {
		j.sub.end(fmt.Errorf("another subscriber took the events over: %w", errdefs.ErrAborted))
	}
	for _, e := range j.exits {
		s.pending = append(s.pending, &guestv1.Event{Event: &guestv1.Event_Exit{Exit: e}})
	}
	for _, e := range j.conns {
		s.pending = append(s.pending, e)
	}
	s.pending = append(s.pending, &guestv1.Event{Event: &guestv1.Event_Synced{Synced: &guestv1.Synced{}}})
	s.poke()
	j.sub = s
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.sub == s {
			j.sub = nil
		}
	}()
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		j.mu.Lock()
		pending, ended := s.pending, s.ended
		s.pending = nil
		j.mu.Unlock()
		for _, e := range pending {
			if err := stream.Send(e); err != nil {
				return err
			}
		}
		if ended != nil {
			return ended
		}
	}
}
