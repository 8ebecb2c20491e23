package netstack

import (
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"
)

// ending waits for the last state of a connection.
type ending struct {
	c     *Conn
	f     func()
	entry waiter.Entry
	timer *time.Timer
	over  atomic.Bool
}

// end is called by the stack with the endpoint locked, by the timer, or at once.
func (e *ending) end(late bool) {
	if !e.over.CompareAndSwap(false, true) {
		return
	}
	e.timer.Stop()
	if late {
		e.c.ep.Abort()
	}
	e.f()
}
