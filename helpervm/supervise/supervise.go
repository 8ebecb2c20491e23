package supervise

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	firstPause = 100 * time.Millisecond
	longest    = 3 * time.Second
	settled    = 10 * time.Second // a child that lived as long is restarted without a pause.
	stopGrace  = 3 * time.Second
	lineLimit  = 4096
)

// Child is a program to keep running.
type Child struct {
	Name string
	Path string
	Args []string
	Env  []string
	// Prepare is called before each start; nil: nothing is to be prepared.
	Prepare func(ctx context.Context) error
}

// Status is what is known of a child.
type Status struct {
	Name     string
	PID      int // 0: it does not run.
	Since    time.Time
	Restarts uint64
	Problem  string // why it does not run.
}

// Supervisor keeps children running.
type Supervisor struct {
	log      hclog.Logger
	children []Child

	mu struct {
		sync.Mutex
		status map[string]*Status
		kill   map[string]func()
	}
}

// New makes a supervisor; nothing runs before Run.
func New(log hclog.Logger, children ...Child) *Supervisor {
	s := &Supervisor{log: log, children: children}
	s.mu.status, s.mu.kill = map[string]*Status{}, map[string]func(){}
	for _, c := range children {
		s.mu.status[c.Name] = &Status{Name: c.Name, Problem: "it was not started yet"}
	}
	return s
}

// Run starts all children and keeps them running until ctx ends; then it stops them, the last one first.
func (s *Supervisor) Run(ctx context.Context) error {
	stops := make([]func(), 0, len(s.children))
	for _, c := range s.children {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.keep(ctx, c)
		}()
		stops = append(stops, func() {
			cancel(context.Canceled)
			<-done
		})
	}
	<-ctx.Done()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	return nil
}

// Status tells of all children, in their order.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, 0, len(s.children))
	for _, c := range s.children {
		list = append(list, *s.mu.status[c.Name])
	}
	return list
}

// Restart kills a child that hangs; it is started anew as if it had died by itself.
func (s *Supervisor) Restart(name string) {
	s.mu.Lock()
	kill := s.mu.kill[name]
	s.mu.Unlock()
	if kill != nil {
		kill()
	}
}

// keep runs one child again and again until ctx ends.
func (s *Supervisor) keep(ctx context.Context, c Child) {
	pause := time.Duration(0)
	for {
		begun := time.Now()
		err := s.once(ctx, c)
		if ctx.Err() != nil {
			return
		}
		s.log.Error("a daemon ended", "name", c.Name, "after", time.Since(begun).Round(time.Millisecond), "error", err)
		if time.Since(begun) >= settled {
			pause = 0
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
		pause = min(max(2*pause, firstPause), longest)
		s.change(c.Name, func(st *Status) { st.Restarts++ })
	}
}

func (s *Supervisor) change(name string, f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.mu.status[name])
}

// once runs a child until it ends, or ends it when ctx does.
func (s *Supervisor) once(ctx context.Context, c Child) (err error) {
	defer func() {
		s.change(c.Name, func(st *Status) { st.PID, st.Problem = 0, fmt.Sprint("it ended: ", err) })
	}()
	if c.Prepare != nil {
		if err := c.Prepare(ctx); err != nil {
			return fmt.Errorf("prepare %s: %w", c.Name, err)
		}
	}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = c.Env
	cmd.Dir = "/"
	confine(cmd)
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.WaitDelay = stopGrace
	output, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.tell(c.Name, output)
	}()
	defer func() { _ = in.Close(); <-told }()
	// The child dies with the thread that started it, so this goroutine keeps its thread until the child's end.
	release := holdThread()
	defer release()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	s.mu.Lock()
	st := s.mu.status[c.Name]
	st.PID, st.Since, st.Problem = cmd.Process.Pid, time.Now(), ""
	s.mu.kill[c.Name] = func() { _ = cmd.Process.Kill() }
	s.mu.Unlock()
	err = cmd.Wait()
	s.mu.Lock()
	delete(s.mu.kill, c.Name)
	s.mu.Unlock()
	if err == nil {
		err = fmt.Errorf("%s ended by itself", c.Name)
	}
	return err
}

// tell passes a child's lines on, each cut to a bounded length.
func (s *Supervisor) tell(name string, r io.Reader) {
	b := bufio.NewReaderSize(r, lineLimit)
	for {
		line, isPrefix, err := b.ReadLine()
		if err != nil {
			return
		}
		if !isPrefix && len(line) > 0 {
			s.log.Info(string(line), "daemon", name)
		}
	}
}
