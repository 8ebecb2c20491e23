package trim

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// held is the memory of objects and of free space that the system still backs.
func held() uint64 {
	return read("/memory/classes/heap/objects:bytes") + read("/memory/classes/heap/free:bytes") + read("/memory/classes/heap/unused:bytes")
}

var sink [][]byte

func TestGivesBackWhenQuiet(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, 20*time.Millisecond)
	}()
	defer func() { cancel(nil); <-done }()

	for range 64 {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		sink = append(sink, b)
	}
	if held() < 64<<20 {
		t.Fatalf("only %d bytes are held", held())
	}
	sink = nil
	runtime.GC() // which would keep the memory for a while.
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for held() > 16<<20 {
		select {
		case <-deadline.C:
			t.Fatalf("%d bytes are still held", held())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestDisturbedByACollection: a collection of the process that ended while memory was given back was taken for an own
// one, and what it had freed was held for ever.
func TestDisturbedByACollection(t *testing.T) {
	for _, tc := range []struct {
		name      string
		free      func()
		disturbed bool
	}{
		{"undisturbed", runtime.GC, false},
		{"collected meanwhile", func() { runtime.GC(); runtime.GC() }, true},
	} {
		if own, disturbed := giveBack(tc.free); disturbed != tc.disturbed || own != cycles() {
			t.Errorf("%s: disturbed %v, own %d of %d", tc.name, disturbed, own, cycles())
		}
	}
}

// TestRestsWhenIdle wants that giving back does not wake itself for ever.
func TestRestsWhenIdle(t *testing.T) {
	const quiet = 20 * time.Millisecond
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, quiet)
	}()
	defer func() { cancel(nil); <-done }()
	time.Sleep(10 * quiet)
	before := cycles()
	time.Sleep(20 * quiet)
	if made := cycles() - before; made > 3 {
		t.Errorf("%d collections in an idle process", made)
	}
}

// BenchmarkCollected is what a collection costs more by being told.
func BenchmarkCollected(b *testing.B) {
	stopped := make(chan struct{})
	collected := make(chan struct{}, 1)
	watch(collected, stopped)
	defer close(stopped)
	for b.Loop() {
		watch(collected, stopped)
	}
}
