package agent

import (
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/guest/reaper"
	"github.com/arca-engine/arca/guest/rootfs"
	"github.com/arca-engine/arca/guest/stdio"
	"github.com/arca-engine/arca/internal/failpoint"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// container is one that was started at least once. The agent's mutex guards processes and paused.
type container struct {
	id         string
	root       *rootfs.Root
	readOnly   bool
	privatePID bool
	network    *network      // that is its own; nil: it has none.
	warnings   []string      // of its start.
	netTime    time.Duration // that making the network took.
	processes  map[string]*process
	paused     bool
	gone       chan struct{} // closed when what its last run left was deleted.
	stopOOM    func()        // ends the watch and waits for it.
	saidOOM    bool          // written by the watch alone.
}

// process is the first process of a container (exec is empty) or an exec.
type process struct {
	container string
	exec      string
	pid       int
	host      int // its number as the sandbox's host sees it; 0: it ended before it could be asked for.
	pidfd     int
	streams   *stdio.Streams
	started   time.Time
	exited    chan struct{} // closed at the exit.
	drained   chan struct{} // closed when its output has ended too.
	exit      *guestv1.Exit // set before exited is closed.
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal through the pidfd, so never to a stranger.
func (p *process) signal(s unix.Signal) error {
	if !p.running() {
		return fmt.Errorf("process %d has exited: %w", p.pid, errdefs.ErrNotFound)
	}
	if err := unix.PidfdSendSignal(p.pidfd, s, nil, 0); err == unix.ESRCH {
		return fmt.Errorf("process %d has exited: %w", p.pid, errdefs.ErrNotFound)
	} else if err != nil {
		return fmt.Errorf("signal process %d: %w", p.pid, err)
	}
	return nil
}

// watch enters a started process in the table and follows it to its end. The agent's mutex is held.
func (a *Agent) watchLocked(c *container, exec string, pid int, exit <-chan reaper.Exit, s *stdio.Streams) *process {
	p := &process{container: c.id, exec: exec, pid: pid, pidfd: -1, streams: s, started: time.Now(), exited: make(chan struct{}), drained: make(chan struct{})}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil { // An error means that it has exited already.
		p.pidfd = fd
		p.host = pid
		if a.world.Numbers != nil {
			p.host = a.world.Numbers.OfDescriptor(fd)
		}
	}
	c.processes[exec] = p
	a.tasks.Go(func() { a.follow(c, p, exit) })
	return p
}

func (a *Agent) follow(c *container, p *process, exit <-chan reaper.Exit) {
	e := <-exit
	p.exit = &guestv1.Exit{ContainerId: p.container, ExecId: p.exec, Code: uint32(e.Code), ExitedUnixNano: e.Time.UnixNano()}
	if p.exec == "" {
		p.exit.OomKilled = a.oomKilled(c)
		if c.stopOOM != nil {
			c.stopOOM()
		}
		if p.exit.OomKilled && !c.saidOOM {
			a.sayOOM(c.id)
		}
	}
	a.mu.Lock()
	close(p.exited)
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
	}
	if p.exec == "" {
		c.paused = false
	}
	a.mu.Unlock()
	_ = failpoint.Hit("guest/exit") // Nothing can refuse an exit; the agent that tells it can end.
	a.events.exited(p.exit)
	if p.exec == "" {
		a.bury(c)
	}
	p.streams.Exited()
	close(p.drained)
}
