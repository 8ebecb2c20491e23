package server

import (
	"errors"
	"fmt"
	"testing"

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
