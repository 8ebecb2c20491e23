package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// buryTimeout bounds the removal of what a container leaves.
const buryTimeout = 30 * time.Second

// bury removes what a run of a container has left: its control groups, runc's record, its network. A shared pid
// namespace may still hold processes of it; they are killed.
func (a *Agent) bury(c *container) {
	defer close(c.gone)
	ctx, cancel := context.WithTimeout(a.ctx, buryTimeout)
	defer cancel()
	err := a.runtime.Forget(ctx, c.id, cgroupPath(c.id))
	if c.network != nil {
		err = errors.Join(err, c.network.close())
	}
	if err != nil && a.ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "bury container %.12s: %v\n", c.id, err)
	}
}

func (a *Agent) buried(c *container) bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// oomKilled tells whether the kernel killed a process of the container for want of memory.
func (a *Agent) oomKilled(c *container) bool { return a.runtime.OOMKills(cgroupPath(c.id)) > 0 }

// signalAll signals every process of the container of p. The kernel does it where p is the first of its own pid
// namespace and dies of it; elsewhere runc does.
func (a *Agent) signalAll(p *process, s unix.Signal) error {
	if s == unix.SIGKILL {
		c, err := a.lookup(p.container)
		if err == nil && c.privatePID {
			return p.signal(s)
		}
	}
	ctx, cancel := context.WithTimeout(a.ctx, buryTimeout)
	defer cancel()
	return a.runtime.KillAll(ctx, p.container, int(s))
}
