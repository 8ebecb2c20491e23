package commit

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
	"github.com/arca-engine/arca/api-frontend/image"
)

// world is an engine with one container, which remembers what was done.
type world struct {
	rec    *record.Container
	done   []string
	pause  error
	failed error
	made   image.CommitOptions
}

func (w *world) RecordOf(ref string) (*record.Container, error) {
	if ref != "web" {
		return nil, errdefs.ErrNotFound.WithMessage("No such container: " + ref)
	}
	return w.rec, nil
}

func (w *world) Pause(context.Context, string) error {
	w.done = append(w.done, "pause")
	return w.pause
}

func (w *world) Unpause(ctx context.Context, _ string) error {
	w.done = append(w.done, "unpause")
	return ctx.Err()
}

func (w *world) Publish(_ string, action events.Action, _ map[string]string) {
	w.done = append(w.done, string(action))
}

func (w *world) Layer(context.Context, string) (io.ReadCloser, error) {
	w.done = append(w.done, "layer")
	return io.NopCloser(strings.NewReader("tar")), nil
}

func (w *world) Commit(_ context.Context, o image.CommitOptions, _ io.Reader) (string, error) {
	w.done, w.made = append(w.done, "commit"), o
	return "sha256:new", w.failed
}

func newWorld(status record.Status) *world {
	rec := &record.Container{
		ID: "c1", ImageID: "sha256:old", Path: "sh", Args: []string{"-c", "x"},
		Config: &container.Config{Env: []string{"A=1", "B=2"}, Cmd: []string{"old"}, Hostname: "h"},
	}
	rec.State.Status = status
	return &world{rec: rec}
}

func TestCommit(t *testing.T) {
	broken := errors.New("disk full")
	for _, c := range []struct {
		name          string
		status        record.Status
		pause, failed error
		want          []string
		err           string
	}{
		{"running", record.Running, nil, nil, []string{"pause", "layer", "commit", "commit", "unpause"}, ""},
		{"not running", record.Exited, errdefs.ErrConflict, nil, []string{"pause", "layer", "commit", "commit"}, ""},
		{"a failure ends the pause too", record.Running, nil, broken, []string{"pause", "layer", "commit", "unpause"}, "disk full"},
		{"dead", record.Dead, nil, nil, nil, "You cannot commit container c1 which is Dead"},
		{"removing", record.Removing, nil, nil, nil, "You cannot commit container c1 which is being removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(c.status)
			w.pause, w.failed = c.pause, c.failed
			_, err := New(w, w, w).Commit(t.Context(), "web", Options{Pause: true, Changes: []string{"ENV A=3", "CMD [\"new\"]"}})
			if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if !slices.Equal(w.done, c.want) {
				t.Errorf("%v, want %v", w.done, c.want)
			}
			if m := w.made; c.want != nil && (m.Parent != "sha256:old" || m.CreatedBy != "sh -c x" || !slices.Equal(m.Config.Env, []string{"A=3", "B=2"}) || !slices.Equal(m.Config.Cmd, []string{"new"})) {
				t.Errorf("%+v", m)
			}
		})
	}
	if _, err := New(newWorld(record.Running), nil, nil).Commit(t.Context(), "no", Options{}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}
