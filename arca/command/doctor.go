package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/doctor"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps Arca from working on this machine",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			wrong, err := doctor.Run(ctx, cmd.OutOrStdout(), doctor.Checks(home))
			if err != nil {
				return err
			}
			if wrong > 0 {
				return fmt.Errorf("%d things are wrong", wrong)
			}
			return nil
		},
	}
}
