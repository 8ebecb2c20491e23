package command

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/engine"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
)

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what runs of an instance, and what is wrong with it",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			return status(ctx, home, cmd.OutOrStdout())
		},
	}
}

func status(ctx context.Context, home instance.Home, out io.Writer) error {
	var text string
	line := func(key, format string, args ...any) {
		text += fmt.Sprintf("%-12s %s\n", key+":", fmt.Sprintf(format, args...))
	}
	line("Home", "%s", home)
	var wrong []string
	up := 0
	for _, job := range jobs {
		state, running, err := supervisor.Read(home.Run(), job)
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case !running:
			line(job, "not running")
			wrong = append(wrong, job+" does not run")
		case !state.Daemon.Alive():
			up++
			line(job, "between two starts (restart number %d; %s)", state.Restarts, state.LastEnd)
			wrong = append(wrong, job+" ended and is started again; see "+home.Log(job))
		default:
			up++
			line(job, "pid %d since %s, supervised by pid %d, %d restarts", state.Daemon.PID, state.Started.Format(time.RFC3339), state.Supervisor.PID, state.Restarts)
		}
	}
	if up == 0 {
		_, err := fmt.Fprintf(out, "Arca does not run in %s. Start it with `arca up`.\n", home)
		if err != nil {
			return err
		}
		return coded{code: exitNotRunning}
	}
	line("API", "%s", home.Endpoint())
	client := engine.New(home.APISocket())
	defer client.Close()
	if v, err := client.Version(ctx); err != nil {
		wrong = append(wrong, fmt.Sprintf("the API does not answer: %v", err))
	} else {
		line("Version", "%s, API %s to %s", v.Version, v.MinAPIVersion, v.APIVersion)
	}
	if i, err := client.Info(ctx); err != nil {
		wrong = append(wrong, fmt.Sprintf("GET /info: %v", err))
	} else {
		line("Containers", "%d, %d running; images: %d", i.Containers, i.ContainersRunning, i.Images)
		for _, d := range i.Drivers() {
			line(d.Name, "%s", d.Value)
		}
		for _, w := range i.Warnings {
			line("Note", "%s", strings.TrimPrefix(w, "WARNING: "))
		}
	}
	switch s, err := home.ReadHelper(); {
	case err != nil:
		wrong = append(wrong, err.Error())
	case s != nil:
		line("Helper", "%s since %s, %d starts", s.State, s.Since.Format(time.RFC3339), s.Starts)
		if s.Problem != "" {
			wrong = append(wrong, "the networks' helper: "+s.Problem+"; see "+home.HelperLog())
		}
	}
	for _, w := range wrong {
		line("Wrong", "%s", w)
	}
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return coded{code: exitFailure}
	}
	return nil
}
