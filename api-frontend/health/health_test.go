package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/arca-engine/arca/api-frontend/container/record"
)

// world is a fake engine and prober with one container.
type world struct {
	mu     sync.Mutex
	rec    *record.Container
	events []string
	probes int
	cmds   [][]string
	answer func(ctx context.Context, out io.Writer) (int, error)
	delay  time.Duration // before a probe's process runs.
	begun  time.Time
	at     []time.Duration // of each probe, since begun.
	stored int             // durable changes.
}

func (w *world) Record(string) (*record.Container, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rec == nil {
		return nil, errdefs.ErrNotFound
	}
	return w.rec.Clone(), nil
}

func (w *world) SetHealth(_ string, h *container.Health, durable bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rec = w.rec.Clone()
	w.rec.State.Health = h
	if durable {
		w.stored++
	}
	return nil
}

func (w *world) Publish(_ string, action events.Action, _ map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, string(action))
}

func (w *world) Run(ctx context.Context, _ string, cmd []string, out io.Writer, started func()) (int, error) {
	w.mu.Lock()
	w.probes++
	w.cmds = append(w.cmds, cmd)
	w.at = append(w.at, time.Since(w.begun))
	answer, delay := w.answer, w.delay
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	started()
	return answer(ctx, out)
}

func (w *world) says(code int, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(_ context.Context, out io.Writer) (int, error) {
		_, err := io.WriteString(out, text)
		return code, err
	}
}

func (w *world) health() container.Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.rec.State.Health
}

func start(h *container.HealthConfig, shell ...string) (*world, *Service) {
	w := &world{begun: time.Now(), rec: &record.Container{
		ID: "c1", Config: &container.Config{Healthcheck: h, Shell: shell},
		State: record.State{Status: record.Running, StartedAt: time.Now()},
	}}
	w.says(0, "fine")
	s := New(w, w, hclog.NewNullLogger())
	w.rec.State.Health = s.Initial(w.rec)
	s.Start("c1")
	return w, s
}

func TestVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{Test: []string{"CMD", "check", "it"}, Interval: 10 * time.Second, Retries: 2})
		defer s.Close()
		if h := w.health(); h.Status != container.Starting || h.Log == nil {
			t.Errorf("at first %+v", h)
		}
		time.Sleep(11 * time.Second)
		if h := w.health(); h.Status != container.Healthy || len(h.Log) != 1 || h.Log[0].Output != "fine" || h.Log[0].ExitCode != 0 {
			t.Errorf("after a good probe %+v", h)
		}
		w.says(1, "bad")
		time.Sleep(10 * time.Second)
		if h := w.health(); h.Status != container.Healthy || h.FailingStreak != 1 {
			t.Errorf("after one failure %+v", h)
		}
		time.Sleep(70 * time.Second)
		h := w.health()
		if h.Status != container.Unhealthy || h.FailingStreak != 8 || len(h.Log) != maxLog {
			t.Errorf("after many failures %+v", h)
		}
		if !slices.IsSortedFunc(h.Log, func(a, b *container.HealthcheckResult) int { return a.Start.Compare(b.Start) }) {
			t.Error("the log is not oldest first")
		}
		w.says(0, "")
		time.Sleep(10 * time.Second)
		if h := w.health(); h.Status != container.Healthy || h.FailingStreak != 0 {
			t.Errorf("after recovery %+v", h)
		}
		want := []string{"health_status: healthy", "health_status: unhealthy", "health_status: healthy"}
		if diff := cmp.Diff(want, w.events); diff != "" {
			t.Error(diff)
		}
		if w.stored != 3 {
			t.Errorf("%d durable changes of 3 verdicts", w.stored)
		}
		if diff := cmp.Diff([]string{"check", "it"}, w.cmds[0]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStartPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{
			Test: []string{"CMD-SHELL", "x"}, Interval: 60 * time.Second, Retries: 1,
			StartPeriod: 20 * time.Second, StartInterval: 6 * time.Second,
		}, "/bin/bash", "-c")
		defer s.Close()
		w.says(1, "")
		time.Sleep(19 * time.Second)
		if h := w.health(); h.Status != container.Starting || h.FailingStreak != 0 || len(h.Log) != 3 {
			t.Errorf("failures within the start period: %+v", h)
		}
		time.Sleep(200 * time.Second)
		if h := w.health(); h.Status != container.Unhealthy {
			t.Errorf("after the start period: %+v", h)
		}
		want := []time.Duration{6, 12, 18, 24, 84, 144, 204}
		for i := range want {
			want[i] *= time.Second
		}
		if diff := cmp.Diff(want, w.at); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"/bin/bash", "-c", "x"}, w.cmds[0]); diff != "" {
			t.Error(diff)
		}
	})
}

// TestStartPeriodEndsWithSuccess: a container that was healthy once is probed at the usual pace, and failures count.
func TestStartPeriodEndsWithSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{
			Test: []string{"CMD", "x"}, Interval: 30 * time.Second, Retries: 1, StartPeriod: time.Hour,
		})
		defer s.Close()
		time.Sleep(6 * time.Second)
		w.says(1, "")
		time.Sleep(30 * time.Second)
		if h := w.health(); h.Status != container.Unhealthy || len(w.at) != 2 || w.at[1] != 35*time.Second {
			t.Errorf("got %+v after probes at %v", h, w.at)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{Test: []string{"CMD", "x"}, Interval: time.Second, Timeout: 3 * time.Second, Retries: 1})
		defer s.Close()
		w.mu.Lock()
		w.delay = 20 * time.Second // Does not count.
		w.answer = func(ctx context.Context, out io.Writer) (int, error) {
			_, err := io.WriteString(out, "so far")
			<-ctx.Done()
			return 0, errors.Join(err, context.Cause(ctx))
		}
		w.mu.Unlock()
		time.Sleep(24*time.Second + time.Millisecond)
		h := w.health()
		if h.Status != container.Unhealthy || len(h.Log) != 1 || h.Log[0].ExitCode != -1 ||
			h.Log[0].Output != "Health check exceeded timeout (3s): so far" {
			t.Fatalf("got %+v %+v", h, h.Log)
		}
		if d := h.Log[0].End.Sub(h.Log[0].Start); d != 23*time.Second {
			t.Errorf("the probe took %v", d)
		}
		w.mu.Lock()
		w.delay = time.Hour
		w.mu.Unlock()
		time.Sleep(32 * time.Second)
		if got := w.health().Log[1].Output; got != "timed out starting health check for container c1" {
			t.Errorf("got %q", got)
		}
	})
}

func TestProbeError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{Test: []string{"CMD", "x"}, Interval: time.Second, Retries: 1})
		defer s.Close()
		w.mu.Lock()
		w.answer = func(context.Context, io.Writer) (int, error) { return 0, errors.New("no such command") }
		w.mu.Unlock()
		time.Sleep(1001 * time.Millisecond)
		if h := w.health(); h.Status != container.Unhealthy || h.Log[0].ExitCode != -1 || h.Log[0].Output != "no such command" {
			t.Errorf("got %+v", h.Log[0])
		}
	})
}

// TestStop: a stop ends the running probe and its result does not count; the container counts as unhealthy, silently, and
// the next start of the monitor goes on from there.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := start(&container.HealthConfig{Test: []string{"CMD", "x"}, Interval: 10 * time.Second})
		s.Start("c1") // A second one changes nothing.
		time.Sleep(11 * time.Second)
		w.mu.Lock()
		w.answer = func(ctx context.Context, _ io.Writer) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // It takes a moment to die.
			return 0, context.Cause(ctx)
		}
		w.mu.Unlock()
		time.Sleep(10 * time.Second)
		before := time.Now()
		s.Stop("c1")
		if d := time.Since(before); d != time.Second {
			t.Errorf("did not wait for the probe: %v", d)
		}
		if h := w.health(); h.Status != container.Unhealthy || len(h.Log) != 1 {
			t.Errorf("stopped: %+v", h)
		}
		s.Stop("c1")
		w.says(0, "")
		s.Start("c1")
		time.Sleep(11 * time.Second)
		if h := w.health(); h.Status != container.Healthy {
			t.Errorf("resumed: %+v", h)
		}
		s.Close()
		if h := w.health(); h.Status != container.Healthy {
			t.Errorf("closed: %+v", h)
		}
		if diff := cmp.Diff([]string{"health_status: healthy", "health_status: healthy"}, w.events); diff != "" {
			t.Error(diff)
		}
		s.Start("c1")
		w.mu.Lock()
		w.rec = nil
		w.mu.Unlock()
		s.Start("c1")
	})
}

func TestNoCheck(t *testing.T) {
	for _, test := range [][]string{nil, {}, {"NONE"}, {"CMD"}, {"OTHER", "x"}} {
		r := &record.Container{Config: &container.Config{Healthcheck: &container.HealthConfig{Test: test}}}
		s := New(nil, nil, hclog.NewNullLogger())
		if h := s.Initial(r); h != nil {
			t.Errorf("%v: %+v", test, h)
		}
	}
	r := &record.Container{Config: &container.Config{}}
	if _, ok := checkOf(r); ok {
		t.Error("a check of nothing")
	}
}

func TestInitialKeepsLog(t *testing.T) {
	r := &record.Container{
		Config: &container.Config{Healthcheck: &container.HealthConfig{Test: []string{"CMD", "x"}}},
		State:  record.State{Health: &container.Health{Status: container.Unhealthy, FailingStreak: 9, Log: []*container.HealthcheckResult{{ExitCode: 1}}}},
	}
	h := New(nil, nil, hclog.NewNullLogger()).Initial(r)
	if h.Status != container.Starting || h.FailingStreak != 0 || len(h.Log) != 1 {
		t.Errorf("got %+v", h)
	}
}

func TestOutput(t *testing.T) {
	for _, n := range []int{0, 1, maxOutput - 1, maxOutput, maxOutput + 1, 3 * maxOutput} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			o := &output{}
			for rest := n; rest > 0; rest -= min(rest, 1000) {
				if _, err := o.Write([]byte(strings.Repeat("x", min(rest, 1000)))); err != nil {
					t.Fatal(err)
				}
			}
			want := strings.Repeat("x", min(n, maxOutput))
			if n > maxOutput {
				want += "..."
			}
			if o.String() != want {
				t.Errorf("kept %d bytes", len(o.String()))
			}
		})
	}
}
