// Command mkimage makes the helper's image from Debian packages.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/arca-engine/arca/helpervm/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o image.Options
	flags := pflag.NewFlagSet("mkimage", pflag.ContinueOnError)
	flags.StringVar(&o.Cache, "cache", "out/cache", "where packages are kept")
	flags.StringVar(&o.Program, "program", "bin/arca-network", "the built arca-network")
	flags.StringVar(&o.Tag, "tag", "arca/helper:latest", "the image's name")
	flags.StringVar(&o.Output, "output", "bin/helper-image.tar", "the archive to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return image.Make(ctx, o)
}
