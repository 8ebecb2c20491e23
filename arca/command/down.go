package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/arca-engine/arca/arca/engine"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

// stopsAtATime bounds how many containers are asked to stop at once.
const stopsAtATime = 16

func downCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the containers and the daemons of an instance; images, volumes and containers stay on disk",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			return down(cmd.Context(), home, timeout, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 60*time.Second, "how long the containers may take to end")
	return cmd
}

func down(ctx context.Context, home instance.Home, timeout time.Duration, out, errOut io.Writer) error {
	any := false
	for _, job := range jobs {
		_, running, err := supervisor.Read(home.Run(), job)
		if err != nil {
			return err
		}
		any = any || running
	}
	if !any {
		_, err := fmt.Fprintf(out, "Arca does not run in %s.\n", home)
		return err
	}
	// A container that does not stop must not keep the daemons: they end, it is told.
	result := stopContainers(ctx, home, timeout)
	for i := len(jobs) - 1; i >= 0; i-- {
		result = errors.Join(result, stopAsRoot(ctx, home, jobs[i], errOut))
	}
	if result != nil {
		return result
	}
	_, err := fmt.Fprintf(out, "Arca in %s has stopped.\n", home)
	return err
}

func stopContainers(ctx context.Context, home instance.Home, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := engine.New(home.APISocket())
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return nil // no API, no graceful stop: vmhelper ends what runs
	}
	running, err := client.Running(ctx)
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(stopsAtATime)
	for _, c := range running {
		g.Go(func() error {
			if err := client.Stop(ctx, c.ID); err != nil {
				return fmt.Errorf("stop container %.12s: %w", c.ID, err)
			}
			return nil
		})
	}
	return g.Wait()
}
