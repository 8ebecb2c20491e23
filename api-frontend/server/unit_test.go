package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func TestSplitVersion(t *testing.T) {
	for path, want := range map[string][2]string{
		"/v1.51/_ping":      {"1.51", "/_ping"},
		"/v1/_ping":         {"1", "/_ping"},
		"/v1..2/_ping":      {"1..2", "/_ping"},
		"/_ping":            {"", "/_ping"},
		"/volumes":          {"", "/volumes"},
		"/v/volumes":        {"", "/v/volumes"},
		"/v1.51":            {"", "/v1.51"},
		"/v1.51x/volumes":   {"", "/v1.51x/volumes"},
		"/v1.51/v1.51/info": {"1.51", "/v1.51/info"},
	} {
		if version, rest := splitVersion(path); [2]string{version, rest} != want {
			t.Errorf("%s: %q, %q", path, version, rest)
		}
	}
}

func TestVersionLess(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.9", "1.24", true}, {"1.24", "1.24", false}, {"1.51", "1.24", false}, {"1", "1.24", true}, {"2", "1.51", false},
		{"1.24.0", "1.24", false}, {"1..5", "1.24", true}, {".", "1.24", true}, {"1.99999999999999999999", "1.51", false},
	} {
		if got := versionLess(tt.a, tt.b); got != tt.want {
			t.Errorf("%s < %s: %v", tt.a, tt.b, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"0":                                   time.Unix(0, 0),
		"-5":                                  time.Unix(-5, 0),
		"1700000000":                          time.Unix(1700000000, 0),
		"1700000000.5":                        time.Unix(1700000000, 500000000),
		"1700000000.000000001":                time.Unix(1700000000, 1),
		"1700000000.0000000019":               time.Unix(1700000000, 1),
		"10m":                                 now.Add(-10 * time.Minute),
		"1h30m":                               now.Add(-90 * time.Minute),
		"2026-01-02":                          time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T15":                       time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC),
		"2026-01-02T15:04:05":                 time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05.123456789Z":      time.Date(2026, 1, 2, 15, 4, 5, 123456789, time.UTC),
		"2026-01-02T15:04:05.5+02:00":         time.Date(2026, 1, 2, 13, 4, 5, 500000000, time.UTC),
		"2026-01-02T15:04:05.123456789-07:00": time.Date(2026, 1, 2, 22, 4, 5, 123456789, time.UTC),
	} {
		if got, ok := parseTime(value, now); !ok || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"x", "1.x", "1.-5", "2026-13-01", "1700000000.12345678901234567890", "--1"} {
		if got, ok := parseTime(value, now); ok {
			t.Errorf("%s: %v", value, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("1700000000.5")
	f.Add("2026-01-02T15:04:05Z")
	f.Fuzz(func(_ *testing.T, value string) { parseTime(value, time.Unix(0, 0)) })
}

func TestStatusOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{errdefs.ErrNotFound.WithMessage("x"), 404},
		{fmt.Errorf("look: %w", errdefs.ErrInvalidArgument), 400},
		{errdefs.ErrConflict, 409},
		{errdefs.ErrAlreadyExists, 409},
		{errdefs.ErrNotModified, 304},
		{errdefs.ErrUnauthenticated, 401},
		{errdefs.ErrPermissionDenied, 403},
		{errdefs.ErrUnavailable, 503},
		{errdefs.ErrNotImplemented, 501},
		{errdefs.ErrFailedPrecondition, 400},
		{errdefs.ErrInternal, 500},
		{errors.New("x"), 500},
		{errBodyTooLarge, 413},
		{errors.Join(errors.New("x"), errdefs.ErrNotFound), 404},
	} {
		if got := statusOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/b")
	f.Fuzz(func(t *testing.T, name string) {
		group := &tail{routes: []*deepRoute{
			{route: &Route{Path: "json"}, prefix: "/images/", suffix: "/json", name: "name"},
			{route: &Route{Path: "bare"}, prefix: "/images/", name: "name"},
		}}
		route, vars := group.find("/images/" + name)
		if route != nil && vars[0].value == "" {
			t.Errorf("%q matched an empty name", name)
		}
	})
}
