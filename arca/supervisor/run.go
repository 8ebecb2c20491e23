package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/arca-engine/arca/arca/process"
)

// Run keeps the job running until ctx ends, then stops it and waits for its end.
func Run(ctx context.Context, job Job) error {
	state := State{}
	var err error
	if state.Supervisor, err = process.Self(); err != nil {
		return err
	}
	inARow := 0
	for {
		started := time.Now()
		ended := runOnce(ctx, job, &state)
		if ctx.Err() != nil {
			return ended
		}
		if time.Since(started) >= job.Backoff.Settled {
			inARow = 0
		}
		inARow++
		state.Restarts++
		state.LastEnd = "ended by itself with exit code 0"
		if ended != nil {
			state.LastEnd = ended.Error()
		}
		state.Daemon = process.ID{}
		job.changed(state)
		delay := job.Backoff.Delay(inARow)
		job.Log.Printf("%s: %s; restart number %d in %s", job.Name, state.LastEnd, state.Restarts, delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil
		}
	}
}

// runOnce starts the daemon and waits for its end. When ctx ends it asks the daemon to end and, after the grace, kills it.
func runOnce(ctx context.Context, job Job, state *State) error {
	// The kernel ends the daemon when the thread that started it ends: so this goroutine keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, done, err := command(job)
	if err != nil {
		return err
	}
	defer done()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", job.Binary, err)
	}
	id, err := process.Of(cmd.Process.Pid)
	if err != nil { // ended already
		id = process.ID{PID: cmd.Process.Pid}
	}
	state.Daemon, state.Started = id, time.Now()
	job.changed(*state)

	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-stop:
		case <-ctx.Done():
			// This goroutine alone holds the state until cmd.Wait has returned and it has ended.
			state.Stopping, state.Grace = true, job.Grace()
			job.changed(*state)
			terminate(cmd.Process, job, state.Grace, stop)
		}
	}()
	err = cmd.Wait()
	close(stop)
	<-watched
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // a descendant still holds the output; the daemon itself has ended
	}
	if ctx.Err() != nil && stoppedBySignal(err, syscall.SIGTERM) {
		return nil
	}
	return err
}

func terminate(p *os.Process, job Job, most time.Duration, ended <-chan struct{}) {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		job.Log.Printf("%s: terminate: %v", job.Name, err)
	}
	grace := time.NewTimer(most)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		job.Log.Printf("%s did not end within %s of SIGTERM: killed", job.Name, most)
		if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			job.Log.Printf("%s: kill: %v", job.Name, err)
		}
	}
}

func stoppedBySignal(err error, s syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

func (j Job) changed(s State) {
	if j.OnChange != nil {
		j.OnChange(s)
	}
}
