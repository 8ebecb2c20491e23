package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/engine"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the containers and the daemons of an instance; images, volumes and containers stay on disk",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			return down(cmd.Context(), home, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// down ends the frontend, which stops the containers as dockerd does at its end, then vmhelper.
func down(ctx context.Context, home instance.Home, out, errOut io.Writer) error {
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
	if text := waitsFor(ctx, home); text != "" {
		if _, err := fmt.Fprintln(errOut, text); err != nil {
			return err
		}
	}
	// A frontend that does not end must not keep vmhelper.
	var result error
	for i := len(jobs) - 1; i >= 0; i-- {
		result = errors.Join(result, stopAsRoot(ctx, home, jobs[i], errOut))
	}
	if result != nil {
		return result
	}
	_, err := fmt.Fprintf(out, "Arca in %s has stopped.\n", home)
	return err
}

// waitsFor says what the end of the instance waits for; nothing when no container runs or the API does not answer.
func waitsFor(ctx context.Context, home instance.Home) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client := engine.New(home.APISocket())
	defer client.Close()
	info, err := client.Info(ctx)
	switch {
	case err != nil || info.ContainersRunning == 0:
		return ""
	case info.LiveRestoreEnabled:
		return fmt.Sprintf("Live restore is on, so the frontend leaves %s running; arca-vmhelper kills what runs when it ends.", containers(info.ContainersRunning))
	default:
		return fmt.Sprintf("Stopping %s and waiting until they have ended, each for its stop timeout at most.", containers(info.ContainersRunning))
	}
}

func containers(n int) string {
	if n == 1 {
		return "1 container"
	}
	return fmt.Sprintf("%d containers", n)
}
