package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/arca-engine/arca/arca/account"
	"github.com/arca-engine/arca/arca/dockercontext"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/launchctl"
	"github.com/arca-engine/arca/arca/supervisor"
)

type upOptions struct {
	driver  string
	context string
	timeout time.Duration
	daemon  *pflag.FlagSet
}

func upCommand() *cobra.Command {
	o := upOptions{daemon: daemonFlags()}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start an instance, or find it running, and wait until it is ready",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			return up(cmd.Context(), home, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.driver, "sandbox", "namespace", "what a container runs in: namespace, or fake (runs nothing; for tests)")
	f.StringVar(&o.context, "context", "", `docker context to make (default "arca" for the default home, none for others)`)
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait until it is ready")
	f.AddFlagSet(o.daemon)
	return cmd
}

func up(ctx context.Context, home instance.Home, o upOptions, out, errOut io.Writer) error {
	if o.driver != "namespace" && o.driver != "fake" {
		return coded{exitUsage, fmt.Errorf("there is no sandbox driver %q: it is namespace or fake", o.driver)}
	}
	if err := checkBinaries(); err != nil {
		return err
	}
	frontend, err := frontendIdentity(ctx, errOut)
	if err != nil {
		return err
	}
	if err := home.CheckReachable(frontend); err != nil {
		return err
	}
	if err := home.Prepare(frontend); err != nil {
		return err
	}
	started, err := startJobs(ctx, home, o, nil, errOut)
	if err == nil {
		// What was found running may have been about to die: it is started when that shows.
		err = waitReady(ctx, home, o.timeout, func(ctx context.Context) error {
			more, err := startJobs(ctx, home, o, started, errOut)
			started = append(started, more...)
			return err
		})
	}
	if errors.Is(err, errHopeless) {
		for i := len(started) - 1; i >= 0; i-- {
			if stopErr := stopAsRoot(context.WithoutCancel(ctx), home, started[i], errOut); stopErr != nil {
				_, _ = fmt.Fprintln(errOut, "arca:", stopErr)
			}
		}
		return err
	}
	if err != nil {
		// Stopping would stop containers that run; the supervisors go on trying.
		return fmt.Errorf("%w\nThe daemons are left to go on: `arca status` tells more, `arca down` stops them", err)
	}
	return greet(home, o, len(started) == 0, out, errOut)
}

func frontendIdentity(ctx context.Context, errOut io.Writer) (instance.Identity, error) {
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		return account.Frontend(ctx, account.Shadow{Out: errOut})
	}
	return account.Self()
}

// startJobs starts the supervisors that do not run, but for those in except, and tells which they are.
func startJobs(ctx context.Context, home instance.Home, o upOptions, except []string, errOut io.Writer) (started []string, err error) {
	level, err := o.daemon.GetString("log-level")
	if err != nil {
		return nil, err
	}
	so := superviseOptions{ownerUID: os.Getuid(), ownerGID: os.Getgid(), driver: o.driver, logLevel: level}
	for _, job := range jobs {
		_, running, err := supervisor.Read(home.Run(), job)
		if err != nil {
			return started, err
		}
		if running || slices.Contains(except, job) {
			continue
		}
		started = append(started, job)
		managed := false
		if home.IsDefault() { // launchd's jobs serve no other.
			if managed, err = launchctl.Own().Start(ctx, "com.arca."+job); err != nil {
				return started, err
			}
		}
		switch {
		case managed:
		case job == jobFrontend:
			err = detach(ctx, home, append([]string{job}, given(o.daemon)...), so)
		case os.Geteuid() == 0 || runtime.GOOS != "linux":
			err = detach(ctx, home, []string{job}, so)
		default:
			err = sudoSelf(ctx, errOut, "arca-vmhelper makes namespaces and mounts for containers", "supervise", "--detach", "--home", home.String(),
				"--owner-uid", fmt.Sprint(so.ownerUID), "--owner-gid", fmt.Sprint(so.ownerGID), "--sandbox", so.driver, "--log-level", so.logLevel, job)
		}
		if err != nil {
			return started, err
		}
	}
	return started, nil
}

// sudoSelf runs a subcommand as root and says why.
func sudoSelf(ctx context.Context, errOut io.Writer, why string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return fmt.Errorf("root is needed (%s) and sudo is not installed: run this command as root", why)
	}
	_, _ = fmt.Fprintf(errOut, "Asking sudo for root: %s.\n", why)
	cmd := exec.CommandContext(ctx, sudo, append([]string{"--", self}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, errOut, errOut
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sudo %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

// stopAsRoot stops a job, through sudo when it is root's and the caller is not.
func stopAsRoot(ctx context.Context, home instance.Home, job string, errOut io.Writer) error {
	if job == jobVMHelper && os.Geteuid() != 0 && runtime.GOOS == "linux" {
		if _, running, err := supervisor.Read(home.Run(), job); err != nil || !running {
			return err
		}
		return sudoSelf(ctx, errOut, "arca-vmhelper runs as root", "supervise", "--stop", "--home", home.String(), job)
	}
	return stopJob(ctx, home, job)
}

func greet(home instance.Home, o upOptions, already bool, out, errOut io.Writer) error {
	name := o.context
	if name == "" && home.IsDefault() {
		name = "arca"
	}
	if name != "" {
		config, err := dockercontext.ConfigDir()
		if err == nil {
			err = dockercontext.Write(config, name, home.Endpoint())
		}
		if err != nil {
			_, _ = fmt.Fprintf(errOut, "The docker context was not made: %v.\n", err)
			name = ""
		}
	}
	word := "is ready"
	if already {
		word = "runs already"
	}
	text := fmt.Sprintf("Arca %s in %s. Use it with\n\n  export DOCKER_HOST=%s\n\n", word, home, home.Endpoint())
	if name != "" {
		text += fmt.Sprintf("or with the docker context it made: docker --context %s ps (for good: docker context use %s).\n", name, name)
	}
	if _, err := exec.LookPath("docker"); err != nil {
		text += "The docker CLI is not installed; `make prerequisites` says how to get it without a second daemon.\n"
	}
	_, err := io.WriteString(out, text)
	return err
}
