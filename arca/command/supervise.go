package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/account"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

// superviseOptions is what `arca up` tells the supervisors that it starts.
type superviseOptions struct {
	detach   bool
	stop     bool
	ownerUID int // whose instance it is; -1: the caller's
	ownerGID int
	driver   string
	logLevel string
}

func superviseCommand() *cobra.Command {
	var o superviseOptions
	cmd := &cobra.Command{
		Use:    "supervise vmhelper|frontend [-- daemon flags]",
		Short:  "Keep one daemon of an instance running (started by arca up)",
		Hidden: true,
		Args:   usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			switch {
			case args[0] != jobVMHelper && args[0] != jobFrontend:
				return coded{exitUsage, fmt.Errorf("there is no job %q", args[0])}
			case o.stop:
				return stopJob(cmd.Context(), home, args[0])
			case o.detach:
				return detach(cmd.Context(), home, args, o)
			default:
				return supervise(cmd, home, args[0], args[1:], o)
			}
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.detach, "detach", false, "start in the background and return")
	f.BoolVar(&o.stop, "stop", false, "stop the job and wait")
	f.IntVar(&o.ownerUID, "owner-uid", -1, "uid of the instance's owner")
	f.IntVar(&o.ownerGID, "owner-gid", -1, "gid of the instance's owner")
	f.StringVar(&o.driver, "sandbox", "namespace", "sandbox driver")
	f.StringVar(&o.logLevel, "log-level", "info", "log level")
	return cmd
}

func supervise(cmd *cobra.Command, home instance.Home, name string, args []string, o superviseOptions) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	signal.Ignore(syscall.SIGHUP)
	if os.Geteuid() != 0 { // Where launchd starts the job, nobody else has prepared the home.
		self, err := account.Self()
		if err == nil {
			err = home.Prepare(self)
		}
		if err != nil {
			return err
		}
	}
	job, err := jobOf(ctx, cmd, home, name, args, o)
	if err != nil {
		return err
	}
	defer func() { _ = job.Log.Close() }()
	release, err := supervisor.LockWhenGone(ctx, home.Run(), name)
	if errors.Is(err, supervisor.ErrRunning) {
		return nil // another `arca up` was quicker; it waits for the same daemon
	}
	if err != nil {
		return err
	}
	job.OnChange = func(s supervisor.State) {
		if err := supervisor.Write(home.Run(), name, s); err != nil {
			job.Log.Printf("%v", err)
		}
	}
	return errors.Join(supervisor.Run(ctx, job), release())
}

// detach starts this executable again as the supervisor, in a session of its own.
func detach(ctx context.Context, home instance.Home, args []string, o superviseOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := supervisor.NewLog(home.Log(args[0]))
	if err := log.Touch(); err != nil {
		return err
	}
	file, err := os.OpenFile(log.Path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	line := []string{"supervise", "--home", home.String(),
		"--owner-uid", fmt.Sprint(o.ownerUID), "--owner-gid", fmt.Sprint(o.ownerGID), "--sandbox", o.driver, "--log-level", o.logLevel, args[0], "--"}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, append(line, args[1:]...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = file, file, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor of %s: %w", args[0], err)
	}
	return cmd.Process.Release()
}

// stopJob asks a job's supervisor to stop it and waits for its end, as long as the supervisor gives the daemon.
func stopJob(ctx context.Context, home instance.Home, name string) error {
	state, running, err := supervisor.Read(home.Run(), name)
	if err != nil || !running {
		return err
	}
	asked := time.Now()
	if err := state.Supervisor.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for state.Supervisor.Alive() {
		most := stopMargin
		if now, running, err := supervisor.Read(home.Run(), name); err == nil && running && now.Stopping {
			most = max(now.Grace, now.Grace+stopMargin) // the sum may overflow
		}
		if time.Since(asked) > most {
			return fmt.Errorf("process %d, the supervisor of %s, did not end within %s; its log is %s", state.Supervisor.PID, name, most, home.Log(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of %s: %w", name, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
