package initproc

import "time"

// SetClock sets the clock where the sandbox has one of its own: not in a namespace, which shares the host's.
func (w *World) SetClock(time.Time) error { return nil }
