package keylock

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestOneHolderAtATime(t *testing.T) {
	var m Map
	var wg sync.WaitGroup
	n := 0
	for range 50 {
		wg.Go(func() {
			for range 100 {
				if err := m.Lock(t.Context(), "a"); err != nil {
					t.Error(err)
					return
				}
				n++
				m.Unlock("a")
			}
		})
	}
	wg.Wait()
	if n != 5000 {
		t.Errorf("counted %d, want 5000", n)
	}
	if len(m.locks) != 0 {
		t.Errorf("%d locks are left", len(m.locks))
	}
}

func TestWaiterLeavesWithItsContext(t *testing.T) {
	var m Map
	if err := m.Lock(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := m.Lock(ctx, "a"); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	m.Unlock("a")
	if len(m.locks) != 0 {
		t.Errorf("%d locks are left", len(m.locks))
	}
}
