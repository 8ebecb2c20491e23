package sandboxtest

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/arca-engine/arca/internal/guestwire"
	guestv1 "github.com/arca-engine/arca/proto/guest/v1"
)

// Program is what a process does; it returns the exit code, and returns soon after Killed.
type Program func(p *Process) int

// Process is the first process of a container.
type Process struct {
	Container string
	Args      []string

	box     *Box
	signals chan syscall.Signal
	killed  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something below changes.
	out     [3][]byte
	stdin   []byte
	paused  bool
	pending []syscall.Signal // while it is paused.
	exit    *guestv1.Exit
}

func newProcess(b *Box, container string, args []string) *Process {
	return &Process{
		Container: container, Args: args, box: b,
		signals: make(chan syscall.Signal, 100), killed: make(chan struct{}), changed: make(chan struct{}),
	}
}

// Signals are the signals that can be caught.
func (p *Process) Signals() <-chan syscall.Signal { return p.signals }

// Killed is closed by SIGKILL and by the end of the sandbox.
func (p *Process) Killed() <-chan struct{} { return p.killed }

// Print writes to a stream.
func (p *Process) Print(s guestwire.Stream, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out[s] = append(p.out[s], text...)
	p.changeLocked()
}

// Stdin tells what came in until now.
func (p *Process) Stdin() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.stdin)
}

func (p *Process) changeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.exit != nil:
	case p.paused:
		p.pending = append(p.pending, sig)
	case sig == syscall.SIGKILL:
		select {
		case <-p.killed:
		default:
			close(p.killed)
		}
	default:
		select {
		case p.signals <- sig:
		default:
		}
	}
}

func (p *Process) pause(on bool) {
	p.mu.Lock()
	p.paused = on
	pending := p.pending
	if !on {
		p.pending = nil
	}
	p.mu.Unlock()
	for _, s := range pending {
		if !on {
			p.signal(s)
		}
	}
}

// run runs the program; the box's end kills it without an exit.
func (p *Process) run(program Program) {
	go func() {
		select {
		case <-p.box.dead:
			p.pause(false)
			p.signal(syscall.SIGKILL)
		case <-p.killed:
		}
	}()
	code := program(p)
	select {
	case <-p.box.dead:
		return
	case <-p.killed:
		code = 137
	default:
	}
	p.finish(code)
}

// finish sets the exit, once, and tells it.
func (p *Process) finish(code int) {
	p.mu.Lock()
	first := p.exit == nil
	if first {
		p.exit = &guestv1.Exit{ContainerId: p.Container, Code: uint32(code), ExitedUnixNano: time.Now().UnixNano()}
		p.changeLocked()
		select {
		case <-p.killed:
		default:
			close(p.killed) // It ends the program, and what watches over it.
		}
	}
	p.mu.Unlock()
	if first {
		p.box.publish(&guestv1.Event{Event: &guestv1.Event_Exit{Exit: p.exit}})
	}
}

// Script runs what the arguments say: "exit N", "print TEXT [N]", "lines N", "run" (until a signal, which is its code),
// "stubborn" (only SIGKILL ends it).
func Script(p *Process) int {
	number := func(i int) int {
		if len(p.Args) <= i {
			return 0
		}
		n, _ := strconv.Atoi(p.Args[i])
		return n
	}
	switch p.Args[0] {
	case "exit":
		return number(1)
	case "print":
		p.Print(guestwire.Stdout, p.Args[1])
		return number(2)
	case "lines":
		for i := range number(1) {
			p.Print(guestwire.Stdout, "line "+strconv.Itoa(i)+"\n")
		}
		return 0
	case "stubborn":
		<-p.Killed()
		return 137
	case "run":
		for {
			select {
			case s := <-p.Signals():
				if s == syscall.SIGTERM || s == syscall.SIGINT {
					return 128 + int(s)
				}
				p.Print(guestwire.Stdout, strings.ToUpper(s.String())+"\n")
			case <-p.Killed():
				return 137
			}
		}
	}
	return 1
}

// End ends the process by itself with this code.
func (p *Process) End(code int) { p.finish(code) }

// SetPaused pauses or resumes the process, as somebody beside the frontend might.
func (p *Process) SetPaused(on bool) { p.pause(on) }
