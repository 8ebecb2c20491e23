package routes

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/filter"
	"github.com/arca-engine/arca/api-frontend/server"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
)

// EventSource is what the events route needs of the bus.
type EventSource interface {
	Subscribe(since, until time.Time, match func(events.Message) bool) ([]events.Message, *event.Subscription)
}

var _ EventSource = (*event.Bus)(nil)

// EventRoutes serves the event stream.
func EventRoutes(source EventSource) []server.Route {
	return []server.Route{{Method: "GET", Path: "/events", Handler: eventStream(source)}}
}

func eventStream(source EventSource) server.Handler {
	return func(_ context.Context, r *server.Request) (server.Response, error) {
		since, until, err := eventSpan(r)
		if err != nil {
			return server.Response{}, err
		}
		f, err := filter.Parse(r.Get("filters"))
		if err != nil {
			return server.Response{}, err
		}
		match := event.Match(f)
		if r.VersionLess("1.46") {
			match = withoutImageCreate(match)
		}
		// The subscription stands before the client sees the headers: nothing that it does after them is missed.
		past, sub := source.Subscribe(since, until, match)
		send := func(ctx context.Context, w server.FlushWriter) error {
			return sendEvents(ctx, w, past, sub, until)
		}
		return server.Stream(200, "application/json", send).OnEnd(sub.Close), nil
	}
}

func eventSpan(r *server.Request) (since, until time.Time, err error) {
	if since, err = r.Time("since"); err != nil {
		return since, until, err
	}
	if until, err = r.Time("until"); err != nil {
		return since, until, err
	}
	if !until.IsZero() && until.Before(since) {
		return since, until, errdefs.ErrInvalidArgument.WithMessage(
			"`since` time (" + r.Get("since") + ") cannot be after `until` time (" + r.Get("until") + ")")
	}
	return since, until, nil
}

// withoutImageCreate hides an event that clients before API 1.46 do not know.
func withoutImageCreate(match func(events.Message) bool) func(events.Message) bool {
	return func(m events.Message) bool {
		return (m.Type != events.ImageEventType || m.Action != events.ActionCreate) && (match == nil || match(m))
	}
}

func sendEvents(ctx context.Context, w server.FlushWriter, past []events.Message, sub *event.Subscription, until time.Time) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, m := range past {
		if err := enc.Encode(event.ToWire(m)); err != nil {
			return err
		}
	}
	if !until.IsZero() {
		if !until.After(time.Now()) {
			return nil
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, until, errUntil)
		defer cancel()
	}
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			if context.Cause(ctx) == errUntil { //nolint:errorlint // It is this very error.
				return nil
			}
			return err
		}
		if !until.IsZero() && m.TimeNano > until.UnixNano() {
			return nil
		}
		if err := enc.Encode(event.ToWire(m)); err != nil {
			return err
		}
	}
}

// errUntil ends a stream at the time that the client asked for.
var errUntil = errors.New("the end of the stream has come")
