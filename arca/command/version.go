package command

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/engine"
	"github.com/arca-engine/arca/internal/version"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell the versions of this CLI and of the running daemons",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if _, err := fmt.Fprintf(out, "arca %s (%s, %s/%s)\n", version.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
			defer cancel()
			client := engine.New(home.APISocket())
			defer client.Close()
			v, err := client.Version(ctx)
			if err != nil {
				_, err = fmt.Fprintf(out, "frontend: not running (%s)\n", home.Endpoint())
				return err
			}
			_, err = fmt.Fprintf(out, "frontend %s, API %s to %s (%s)\n", v.Version, v.MinAPIVersion, v.APIVersion, home.Endpoint())
			return err
		},
	}
}
