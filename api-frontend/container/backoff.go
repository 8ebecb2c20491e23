package container

import (
	"time"

	"github.com/moby/moby/api/types/container"
)

// Docker's back-off of restart policies: 100 ms, doubled at each restart up to a minute, and from the beginning again
// after a run of ten seconds.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = time.Minute
	backoffReset = 10 * time.Second
)

// backoff is the restart policy's memory of one container.
type backoff struct {
	delay    time.Duration
	canceled bool // a client stopped the container: the policy does not act before the next start.
}

// next tells whether the policy restarts a container that exited with code after it ran for ran, and after what delay.
func (b *backoff) next(p container.RestartPolicy, code, count int, manuallyStopped bool, ran time.Duration) (bool, time.Duration) {
	if p.IsNone() || b.canceled {
		return false, 0
	}
	if ran >= backoffReset {
		b.delay = 0
	}
	switch {
	case b.delay == 0:
		b.delay = backoffFirst
	case b.delay < backoffMax:
		b.delay = min(2*b.delay, backoffMax)
	}
	restart := false
	switch {
	case p.IsAlways():
		restart = true
	case p.IsUnlessStopped():
		restart = !manuallyStopped
	case p.IsOnFailure():
		restart = code != 0 && (p.MaximumRetryCount == 0 || count < p.MaximumRetryCount)
	}
	return restart, b.delay
}
