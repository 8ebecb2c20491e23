package trim

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Quiet is how long nothing must have been collected before memory is given back.
const Quiet = 5 * time.Second

// Run gives back what is unused when no garbage has been collected for quiet after a collection, until ctx ends. Go by
// itself keeps what pools hold for two more collections, which an idle process does not make for minutes.
func Run(ctx context.Context, quiet time.Duration) {
	collected := make(chan struct{}, 1)
	stopped := make(chan struct{})
	defer close(stopped)
	watch(collected, stopped)
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var own uint64 // the collection that giving back made.
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected:
			if cycles() != own {
				timer.Reset(quiet)
			}
		case <-timer.C:
			var disturbed bool
			if own, disturbed = giveBack(debug.FreeOSMemory); disturbed {
				timer.Reset(quiet)
			}
		}
	}
}

// ownCycles is how many collections giving back makes.
const ownCycles = 2

// giveBack collects and frees, and tells the last collection of its own. Disturbed is one during which the process
// collected, too: what became garbage after it had begun is still held, and nobody will tell of it again.
func giveBack(free func()) (own uint64, disturbed bool) {
	before := cycles()
	runtime.GC() // What pools hold survives one collection.
	free()
	own = cycles()
	return own, own-before > ownCycles
}

// sentinel is collected by the next collection.
type sentinel struct{ _ *byte }

// watch tells every collection, by an object that is garbage at once and is replaced when it was found.
func watch(collected chan<- struct{}, stopped <-chan struct{}) {
	runtime.AddCleanup(&sentinel{new(byte)}, func(collected chan<- struct{}) {
		select {
		case <-stopped:
			return
		default:
		}
		select {
		case collected <- struct{}{}:
		default:
		}
		watch(collected, stopped)
	}, collected)
}

func cycles() uint64 {
	var s [1]metrics.Sample
	s[0].Name = "/gc/cycles/total:gc-cycles"
	metrics.Read(s[:])
	return s[0].Value.Uint64()
}
