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
	timer atomic.Pointer[time.Timer] // nil: it is just being made.
	over  atomic.Bool
}

// end is called by the stack with the endpoint locked, by the timer, or at once.
func (e *ending) end(late bool) {
	if !e.over.CompareAndSwap(false, true) {
		return
	}
	if t := e.timer.Load(); t != nil {
		t.Stop()
	}
	if late {
		e.c.ep.Abort()
	}
	e.f()
}
