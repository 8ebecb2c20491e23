package progress_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/arca-engine/arca/api-frontend/image/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLinesAreDockers(t *testing.T) {
	var b bytes.Buffer
	s := progress.New(&b, nil)
	s.Message("latest", "Pulling from library/x")
	s.Step("abc", "Pulling fs layer")
	s.Progress("abc", "Downloading", 50, 100)
	s.Step("abc", "Pull complete")
	s.Message("", "Digest: sha256:0")
	s.Text("Loaded <image>\n")
	s.Fail(errors.New("no"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`{"status":"Pulling from library/x","id":"latest"}`,
		`{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}`,
		`{"status":"Downloading","progressDetail":{"current":50,"total":100},"progress":"[=========================\u003e                         ]      50B/100B","id":"abc"}`,
		`{"status":"Pull complete","progressDetail":{},"id":"abc"}`,
		`{"status":"Digest: sha256:0"}`,
		`{"stream":"Loaded \u003cimage\u003e\n"}`,
		`{"errorDetail":{"message":"no"},"error":"no"}`,
	}, "\r\n") + "\r\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestProgressIsLimited(t *testing.T) {
	var b bytes.Buffer
	s := progress.New(&b, nil)
	for i := range int64(100_000) {
		s.Progress("abc", "Downloading", i+1, 100_000)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 100 || !strings.Contains(b.String(), `"current":100000`) {
		t.Errorf("%d lines", n)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("the client left") }

func TestClientThatLeft(t *testing.T) {
	err := progress.Serve(t.Context(), broken{}, func(ctx context.Context, s *progress.Stream) error {
		s.Message("", "hello")
		<-ctx.Done() // The failed write ends the work.
		return context.Cause(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "the client left") {
		t.Errorf("%v", err)
	}
}

func TestFailureBeforeTheFirstWord(t *testing.T) {
	var b bytes.Buffer
	want := errors.New("not found")
	if err := progress.Serve(t.Context(), &b, func(context.Context, *progress.Stream) error { return want }); !errors.Is(err, want) || b.Len() != 0 {
		t.Errorf("%v %q", err, b.String())
	}
}
