package routes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/api-frontend/logs"
	"github.com/arca-engine/arca/api-frontend/server/servertest"
)

type fakeLogs struct {
	log *logs.Log
	tty bool
}

func (f fakeLogs) OpenLog(_ context.Context, ref string) (*logs.Log, bool, error) {
	if ref != "web" {
		return nil, false, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
	}
	return f.log, f.tty, nil
}

func openLog(t *testing.T, driver string) *logs.Log {
	t.Helper()
	l, err := logs.Open(logs.Config{Driver: driver, Dir: t.TempDir(), ContainerID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.StartRun(1); err != nil {
		t.Fatal(err)
	}
	return l
}

func say(t *testing.T, l *logs.Log, text string) {
	t.Helper()
	_, offset, _ := l.Offsets()
	at := time.Date(2026, 1, 2, 3, 4, int(offset), 0, time.UTC).UnixNano()
	if err := l.Append(t.Context(), []logs.Chunk{{Stream: 1, Offset: offset, UnixNano: at, Data: []byte(text)}}); err != nil {
		t.Fatal(err)
	}
}

func TestLogs(t *testing.T) {
	l := openLog(t, logs.JSONFile)
	say(t, l, "one\n")
	say(t, l, "two\n")
	const raw, mux = "application/vnd.docker.raw-stream", "application/vnd.docker.multiplexed-stream"
	frame := func(s string) string { return fmt.Sprintf("\x01\x00\x00\x00\x00\x00\x00%c%s", len(s), s) }
	for _, tc := range []struct {
		target string
		tty    bool
		status int
		media  string
		body   string
	}{
		{"/v1.51/containers/web/logs?stdout=1&stderr=1", false, 200, mux, frame("one\ntwo\n")},
		{"/v1.51/containers/web/logs?stdout=1&stderr=1", true, 200, raw, "one\ntwo\n"},
		{"/v1.41/containers/web/logs?stdout=1", false, 200, raw, frame("one\ntwo\n")},
		{"/v1.51/containers/web/logs?stderr=1", false, 200, mux, ""},
		{"/v1.51/containers/web/logs?stdout=1&tail=1&timestamps=1", false, 200, mux, frame("2026-01-02T03:04:04.000000000Z two\n")},
		{"/v1.51/containers/web/logs?stdout=1&tail=some", true, 200, raw, "one\ntwo\n"},
		{"/v1.51/containers/web/logs?stdout=1&since=1767323041.5", true, 200, raw, "two\n"},
		{"/v1.51/containers/web/logs?stdout=1&until=1767323041", true, 200, raw, "one\n"},
		{"/v1.51/containers/web/logs?stdout=1&until=0", true, 200, raw, "one\ntwo\n"},
		{"/v1.51/containers/web/logs", false, 400, "", "Bad parameters: you must choose at least one stream"},
		{"/v1.51/containers/db/logs?stdout=1", false, 404, "", "No such container: db"},
		{"/v1.51/containers/web/logs?stdout=1&since=x", false, 400, "", `invalid value for parameter since: failed to parse value as time or duration: "x"`},
	} {
		s := servertest.New(t, LogRoutes(fakeLogs{l, tc.tty}))
		resp := get(t.Context(), t, s, tc.target)
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tc.status {
			t.Errorf("%s: %s %s", tc.target, resp.Status, body)
			continue
		}
		got := string(body)
		if tc.status != 200 {
			got = message(t, body)
		} else if m := resp.Header.Get("Content-Type"); m != tc.media {
			t.Errorf("%s: media type %s", tc.target, m)
		}
		if got != tc.body {
			t.Errorf("%s: %q, want %q", tc.target, got, tc.body)
		}
	}
}

func message(t *testing.T, body []byte) string {
	t.Helper()
	var m struct{ Message string }
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m.Message
}

func TestLogsNotReadable(t *testing.T) {
	s := servertest.New(t, LogRoutes(fakeLogs{log: openLog(t, logs.None)}))
	resp := get(t.Context(), t, s, "/v1.51/containers/web/logs?stdout=1")
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 501 || message(t, body) != "configured logging driver does not support reading" {
		t.Errorf("%s %s %v", resp.Status, body, err)
	}
}

// TestLogsFollow sees each line as it comes, and the end with the run's.
func TestLogsFollow(t *testing.T) {
	l := openLog(t, logs.JSONFile)
	s := servertest.New(t, LogRoutes(fakeLogs{l, true}))
	resp := get(t.Context(), t, s, "/v1.51/containers/web/logs?stdout=1&follow=1")
	in := bufio.NewReader(resp.Body)
	for _, text := range []string{"one\n", "two\n"} {
		say(t, l, text)
		if got, err := in.ReadString('\n'); got != text {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if err := l.EndRun(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("then %q, %v", rest, err)
	}
}
