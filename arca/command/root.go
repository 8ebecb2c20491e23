package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/instance"
)

// Exit codes of the CLI.
const (
	exitFailure    = 1
	exitUsage      = 2
	exitNotRunning = 3
)

// coded is an error with an exit code of its own; without a message it is silent.
type coded struct {
	code int
	err  error
}

func (e coded) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e coded) Unwrap() error { return e.err }

// Run runs the command line and tells the exit code.
func Run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := Root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var c coded
	code := exitFailure
	if errors.As(err, &c) {
		code = c.code
	}
	if err.Error() != "" {
		_, _ = fmt.Fprintln(errOut, "arca:", err)
	}
	return code
}

// Root is the command tree.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:           "arca",
		Short:         "Arca runs containers behind the Docker Engine API",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return coded{exitUsage, fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
	})
	root.PersistentFlags().String("home", "", "directory of the instance (ARCA_HOME; default /var/lib/arca for root, ~/.arca for a user)")
	root.AddCommand(upCommand(), downCommand(), statusCommand(), versionCommand(), doctorCommand(), superviseCommand())
	return root
}

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return coded{exitUsage, fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
		}
		return nil
	}
}

func homeOf(cmd *cobra.Command) (instance.Home, error) {
	flag, err := cmd.Flags().GetString("home")
	if err != nil {
		return "", err
	}
	return instance.Resolve(flag)
}
