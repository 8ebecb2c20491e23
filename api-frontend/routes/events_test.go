package routes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/arca-engine/arca/api-frontend/event"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
	"github.com/arca-engine/arca/api-frontend/server/speccheck"
	"github.com/moby/moby/api/types/events"
)

func get(ctx context.Context, t *testing.T, s *servertest.Server, target string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://d"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return answer{resp.StatusCode, resp.Status, resp.Header, resp.Body}
}

// answer is a response whose body somebody else closes.
type answer struct {
	StatusCode int
	Status     string
	Header     http.Header
	Body       io.Reader
}

func publish(bus *event.Bus, typ events.Type, action events.Action, id string) {
	bus.Publish(events.Message{Type: typ, Action: action, Actor: events.Actor{ID: id, Attributes: map[string]string{"image": "busybox", "name": "n" + id}}})
}

func TestEventsLive(t *testing.T) {
	var bus event.Bus
	s := servertest.New(t, EventRoutes(&bus))
	filters := url.QueryEscape(`{"container":{"1":true},"event":{"start":true,"die":true}}`)
	resp := get(t.Context(), t, s, "/v1.51/events?filters="+filters)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("head: %v %v", resp.StatusCode, resp.Header)
	}
	publish(&bus, "container", "create", "1")
	publish(&bus, "container", "start", "2")
	publish(&bus, "container", "start", "1")
	publish(&bus, "container", "die", "1")
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{"start", "die"} {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var m event.Wire
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil || m.Status != want || m.ID != "1" || m.From != "busybox" {
			t.Errorf("got %s, %v", lines.Text(), err)
		}
		speccheck.Definition(t, "EventMessage", lines.Bytes(), speccheck.Ignore("status", "id", "from"))
	}
}

func TestEventsSpan(t *testing.T) {
	var bus event.Bus
	start := time.Now()
	publish(&bus, "image", "pull", "1")
	publish(&bus, "image", "create", "2")
	s := servertest.New(t, EventRoutes(&bus))
	for _, tt := range []struct {
		query string
		lines int
	}{
		{fmt.Sprintf("/events?since=%d&until=%.9f", start.Unix(), float64(time.Now().UnixMilli()+1)/1000), 2},
		{fmt.Sprintf("/v1.45/events?since=%d&until=0s", start.Unix()), 1},
		{"/events?since=10m&until=0s", 2},
		{"/events?until=" + url.QueryEscape(time.Now().Add(300*time.Millisecond).Format(time.RFC3339Nano)), 2},
		{"/events?since=10m&until=9m", 0},
	} {
		body, err := io.ReadAll(get(t.Context(), t, s, tt.query).Body)
		if n := strings.Count(string(body), "\n"); err != nil || n != tt.lines {
			t.Errorf("%s: %d lines %s, %v", tt.query, n, body, err)
		}
	}
}

func TestEventsRefusals(t *testing.T) {
	var bus event.Bus
	s := servertest.New(t, EventRoutes(&bus))
	for query, want := range map[string]string{
		"since=x":                        `invalid value for parameter since: failed to parse value as time or duration: "x"`,
		"until=2026-99-99":               `invalid value for parameter until: failed to parse value as time or duration: "2026-99-99"`,
		"since=1700000001&until=1700000": "`since` time (1700000001) cannot be after `until` time (1700000)",
		"filters=x":                      "invalid filter",
		"filters=%zz":                    `invalid query: invalid URL escape "%zz"`,
	} {
		resp := get(t.Context(), t, s, "/events?"+query)
		var body struct{ Message string }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != 400 || body.Message != want {
			t.Errorf("%s: %d %q, %v", query, resp.StatusCode, body.Message, err)
		}
	}
	if n := bus.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestAbortedEventStreamsLeaveNothing(t *testing.T) {
	var bus event.Bus
	s := servertest.New(t, EventRoutes(&bus))
	for range aborts() {
		ctx, cancel := context.WithCancelCause(t.Context())
		get(ctx, t, s, "/events")
		cancel(nil)
	}
	for deadline := time.Now().Add(5 * time.Second); bus.Subscribers() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d subscribers are left", bus.Subscribers())
		}
		publish(&bus, "image", "pull", "1")
	}
}

func aborts() int {
	if testing.Short() {
		return 100
	}
	return 1000
}
