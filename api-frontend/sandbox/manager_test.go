package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/arca-engine/arca/api-frontend/sandbox"
	"github.com/arca-engine/arca/api-frontend/sandbox/sandboxtest"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
)

// stopAll is a reconciler that knows nothing.
type stopAll struct{ m *sandbox.Manager }

func (s stopAll) Reconcile(ctx context.Context, running []*vmhelperv1.Sandbox) error {
	for _, sb := range running {
		if s.m.Box(sb.Id) == nil {
			if err := s.m.StopUnknown(ctx, sb.Id); err != nil {
				return err
			}
		}
	}
	return nil
}

// holder notes what it is told.
type holder struct {
	mu   sync.Mutex
	died []string
}

func (*holder) Exited(*guestv1.Exit)                      {}
func (*holder) OutOfMemory()                              {}
func (*holder) SocketConnected(*guestv1.SocketConnection) {}
func (h *holder) Died(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.died = append(h.died, reason)
}

func (h *holder) deaths() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.died)
}

func start(t *testing.T) (*sandboxtest.Helper, *sandbox.Manager) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	helper := sandboxtest.New(t, nil)
	client, err := sandbox.NewClient(helper.Sockets())
	if err != nil {
		t.Fatal(err)
	}
	m := sandbox.NewManager(client, hclog.NewNullLogger())
	ctx, cancel := context.WithCancelCause(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx, stopAll{m}) }()
	t.Cleanup(func() {
		cancel(nil)
		if err := errors.Join(<-ran, client.Close()); err != nil {
			t.Error(err)
		}
	})
	return helper, m
}

func id(n int) string { return fmt.Sprintf("%064x", n) }

func spec(n int) *vmhelperv1.SandboxSpec {
	return &vmhelperv1.SandboxSpec{Id: id(n), Uppers: []string{id(n)}}
}

// leave is for holders whose container does nothing.
func leave(context.Context) (*vmhelperv1.RemoveDisksRequest, error) {
	return &vmhelperv1.RemoveDisksRequest{}, nil
}

func TestHoldersCome(t *testing.T) {
	helper, m := start(t)
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			for range 10 {
				b, err := m.Hold(t.Context(), spec(1), id(100+c), &holder{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := b.Err(); err != nil {
					t.Error(err)
				}
				if err := m.Release(t.Context(), b, id(100+c), leave); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := helper.Running(); len(got) != 0 {
		t.Errorf("%v run", got)
	}
}

// A death is told once, by whichever way the news comes, and the sandbox can be booted again.
func TestDeath(t *testing.T) {
	helper, m := start(t)
	for range 20 {
		h := &holder{}
		b, err := m.Hold(t.Context(), spec(1), id(1), h)
		if err != nil {
			t.Fatal(err)
		}
		helper.Kill(id(1))
		<-b.Done()
		if !errors.Is(b.Err(), sandbox.ErrDead) {
			t.Error(b.Err())
		}
		if err := m.Release(t.Context(), b, id(1), leave); err != nil {
			t.Error(err)
		}
		if n := h.deaths(); n != 1 {
			t.Errorf("told %d times", n)
		}
	}
}

func TestStopTellsHolders(t *testing.T) {
	_, m := start(t)
	h := &holder{}
	if _, err := m.Hold(t.Context(), spec(1), id(1), h); err != nil {
		t.Fatal(err)
	}
	if err := m.StopIdle(t.Context(), id(1)); err != nil || m.Box(id(1)) == nil {
		t.Error("a held sandbox was taken for idle:", err)
	}
	if err := m.Stop(t.Context(), id(1)); err != nil || h.deaths() != 1 {
		t.Error(err, h.deaths())
	}
	if err := m.Stop(t.Context(), id(1)); err != nil {
		t.Error(err)
	}
}

// A sandbox that runs though no box is known is of an unknown state: it is replaced, not taken.
func TestLeftoverIsReplaced(t *testing.T) {
	helper, m := start(t)
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	helper.Boot(id(1))
	b, err := m.Hold(t.Context(), spec(1), id(1), &holder{})
	if err != nil {
		t.Fatal(err)
	}
	if b.BootID != "boot-2" {
		t.Errorf("taken %s", b.BootID)
	}
	if _, err := b.Attachment(vmhelperv1.Attachment_UPPER, id(1)); err != nil {
		t.Error(err)
	}
	if _, err := b.Attachment(vmhelperv1.Attachment_DISK, id(9)); err == nil {
		t.Error("an attachment that is none")
	}
}

func TestHelperDoesNotAnswer(t *testing.T) {
	helper, m := start(t)
	if err := m.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	helper.Leave()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := m.Hold(ctx, spec(1), id(1), &holder{})
	if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "arca status") {
		t.Error(err)
	}
	helper.Return()
	b, err := m.Hold(t.Context(), spec(1), id(1), &holder{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Release(t.Context(), b, id(1), leave); err != nil {
		t.Error(err)
	}
}

// A stop that failed is tried again until it succeeds.
func TestFailedStop(t *testing.T) {
	helper, m := start(t)
	b, err := m.Hold(t.Context(), spec(1), id(1), &holder{})
	if err != nil {
		t.Fatal(err)
	}
	helper.Inject("StopSandbox", sandboxtest.Fault{Count: 1, Before: sandboxtest.Error(status.Error(codes.Internal, "no"))})
	if m.Release(t.Context(), b, id(1), leave) == nil {
		t.Error("the failure was swallowed")
	}
	for end := time.Now().Add(10 * time.Second); len(helper.Running()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it runs on")
		}
	}
}

// An agent that refuses events is not hammered, nor is vmhelper.
func TestAgentRefusesEvents(t *testing.T) {
	helper, m := start(t)
	helper.Inject("Events", sandboxtest.Fault{Before: sandboxtest.Error(status.Error(codes.Internal, "no"))})
	b, err := m.Hold(t.Context(), spec(1), id(1), &holder{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // What must not happen has no end to wait for.
	if n := helper.Calls()["Events"]; n < 2 || n > 12 {
		t.Errorf("%d tries in half a second", n)
	}
	if b.Err() != nil {
		t.Error(b.Err())
	}
}
